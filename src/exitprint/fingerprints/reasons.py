"""What a verdict says in words."""

from __future__ import annotations

from exitprint.fingerprints.likeness import FAR_WORSE
from exitprint.fingerprints.statistic import Test
from exitprint.timing.session import Session
from exitprint.timing.silence import Silence, silence

DERIVED = {
    True: (
        "By nature the images made late are the quick ones, and the suspect is quick with them as they were: it orders "
        "the originals so in {nature:.0%} of the pairs. Yet with what was put into them they take it longer in "
        "{share:.0%} of the pairs, clearly more than the {p0:.0%} that a network of other origin is taken to reach: "
        "the suspect goes by what was put into the images, as a copy of the owner's network does. {level}"
    ),
    False: (
        "The fingerprint's images take the suspect longer than originals of others in {share:.0%} of the pairs, "
        "clearly more than the {p0:.0%} that a network of other origin is taken to reach, as is expected of a copy of "
        "the owner's network. {level}"
    ),
}
CLAIM = (
    "Of a suspect for which one of the assumptions' limits is kept, this would be said, whenever the test stops, with "
    "a probability of at most alpha = {alpha:g}; the evidence is an e-value of {e_value:,.6g}."
)
INDEPENDENT = (
    "The images made late take the suspect longer in {share:.0%} of the pairs only, clearly less than one half: the "
    "suspect goes by what the images show by nature and not by what was put into them, so this gives no reason to call "
    "it a copy. Of a copy on which the images made late leave later, this would be said, whenever the test stops, with "
    "a probability of at most beta = {beta:g}."
)
BETWEEN = (
    "After {requests:,} requests the images made late took the suspect longer in {share:.0%} of the pairs (between "
    "{low:.0%} and {high:.0%} with 95 % confidence). A claim needs clearly more than {p0:.0%} (alpha = {alpha:g}), to "
    "clear the suspect needs clearly less than one half (beta = {beta:g}). {advice}"
)
NATURE_OPEN = (
    "After {requests:,} requests it is not clear that the suspect orders the original images as nature does "
    "({nature:.0%} of the pairs, between {low:.0%} and {high:.0%} with 95 % confidence), so nothing can be said about "
    "the crafted ones. {advice}"
)
UNNATURAL = (
    "The suspect orders the original images the other way round than the fingerprint says ({nature:.0%} of the pairs "
    "are in the natural order): the images made late were the slow ones before anything was put into them, so this "
    "fingerprint cannot claim the suspect, and if that happens with other networks too, its halves are not what it "
    "says."
)
TIES = (
    "The suspect takes the same time for nearly every image, as a network does whose policy sends nearly all to one "
    "exit. So its time can neither claim nor clear it, whatever its origin."
)
UNLIKE = (
    "The suspect answers only {like:.0%} of the original images as the owner's network does, renamed labels allowed "
    "for, so it does not understand what it is sent and its time says nothing. Perhaps it wants its input normalised "
    "otherwise: state --mean and --std (or --scale), the layout or the size, and ask again."
)
NOTHING = "All {requests:,} requests were spent before anything could be compared: allow more requests."
NO_POWER = (
    "A fingerprint of the paper's kind compares samples with ordinary images, of which some take the longest time as "
    "well, so it often cannot decide: use a contrast fingerprint, or `measure_t_n` for the paper's measurement without "
    "a verdict."
)
MORE = "Allow more requests, amplify them, or ask from nearby."
FINAL = (
    "Asking again would bring nothing new on this clock: a contrast fingerprint with references needs less to claim."
)

SILENT = {
    "same": "The suspect takes the same time for every input, so its time says nothing about its origin.",
    "cache": (
        "{cached:.0%} of the inputs took longest when they were asked first, as with a cache in front of the suspect, "
        "so asking again brings no further evidence: use a fingerprint of more samples."
    ),
    "constant": (
        "The suspect answers in nearly constant time, {middle} ms, nine of ten answers within {spread} ms, and "
        "what it is asked hardly shows in it (two askings of one input agree by a correlation of {agreement:.2f} "
        "beyond what load explains), so its time says nothing about its origin."
    ),
    "noise": (
        "The noise hides most of what the inputs do: two askings of one input agree by a correlation of "
        "{agreement:.2f} only beyond what load explains, and nine of ten answers spread over {spread} ms. Allow "
        "more requests, amplify them, or ask from nearby."
    ),
}


def reason(test: Test, session: Session, like: float | None, spent: bool) -> str:
    """Why the verdict is what it is, as the test stands after what was asked.

    `like` is the agreement of the suspect's answers to the originals with the owner's, where it can be told, and
    `spent` whether the budget was.
    """
    contrast = test.nature is not None
    numbers = {
        "share": test.claim.mean,
        "nature": test.nature.mean if test.nature is not None else None,
        "p0": test.claim.null,
        "alpha": test.alpha,
        "beta": test.beta,
        "requests": session.requests,
        "e_value": min(process.e_value for process in (test.claim, test.nature or test.claim)),
    }
    if test.decision == "derived":
        return DERIVED[contrast].format(level=CLAIM.format(**numbers), **numbers)
    if test.decision == "independent":
        return INDEPENDENT.format(**numbers)
    if like is not None and like < FAR_WORSE:
        return UNLIKE.format(like=like)
    if test.unnatural:
        return UNNATURAL.format(**numbers)
    silent = silence(session)
    if silent is not None:
        return _said(silent)
    if _tied(test, session):
        return TIES
    advice = (MORE if spent else FINAL) if contrast else NO_POWER
    if test.claim.observations:
        low, high = test.claim.interval()
        return BETWEEN.format(low=low, high=high, advice=advice, **numbers)
    if test.nature is not None and test.nature.observations:
        low, high = test.nature.interval()
        return NATURE_OPEN.format(low=low, high=high, advice=advice, **numbers)
    return NOTHING.format(**numbers)


def _said(silent: Silence) -> str:
    milliseconds = {"middle": _plain(1e3 * silent.middle), "spread": _plain(1e3 * silent.spread)}
    return SILENT[silent.cause].format(agreement=silent.agreement, cached=silent.cached, **milliseconds)


def _plain(number: float) -> str:
    """With three digits that count; a large number whole, and without a power of ten."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _tied(test: Test, session: Session) -> bool:
    """Whether a clock without noise could not tell most pairs apart."""
    processes = [process for process in (test.nature, test.claim) if process is not None]
    counts = [counts for process in processes for counts in process.rounds]
    return session.clock == "cost-model" and 2 * sum(each.tied for each in counts) > sum(each.total for each in counts)
