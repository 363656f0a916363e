"""Check a pack of exitprint without exitprint: `python check.py [AUTHORITY.pem]`, with Python 3.11 and numpy.

It computes hashes, signature, seed, chains, order of the questions, evidence and verdict from the raw answers, and it
ends with exit code 1 at what does not hold. AUTHORITY.pem holds certificates that YOU trust, else the pack's are taken.
"""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from datetime import datetime, timedelta
from math import exp, inf, log
from pathlib import Path

import numpy as np

HERE, DAY = Path(__file__).resolve().parent, timedelta(days=1)
P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493  # Ed25519, RFC 8032
D = -121665 * pow(121666, -1, P) % P
NODES, WEIGHTS = np.polynomial.legendre.leggauss(64)
STAKES = (NODES + 1) / 2
START = np.log(WEIGHTS * STAKES / (WEIGHTS * STAKES).sum())


def need(holds, sentence):
    holds or sys.exit(f"DOES NOT HOLD: {sentence}")


def sha(content):
    return hashlib.sha256(content).hexdigest()


def point(raw):
    y = int.from_bytes(raw, "little") & (1 << 255) - 1
    xx = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(xx, (P + 3) // 8, P)
    x = x if x * x % P == xx else x * pow(2, (P - 1) // 4, P) % P
    need(y < P and x * x % P == xx, "the claim's key and signature are points of Ed25519.")
    return (P - x if x & 1 != raw[31] >> 7 else x), y


def plus(a, b):
    t = D * a[0] * b[0] * a[1] * b[1] % P
    return (a[0] * b[1] + a[1] * b[0]) * pow(1 + t, -1, P) % P, (a[1] * b[1] + a[0] * b[0]) * pow(1 - t, -1, P) % P


def times(k, one):
    half = times(k // 2, plus(one, one)) if k else (0, 1)
    return plus(half, one) if k & 1 else half


def signed(key, message, signature):
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little")
    s, base = int.from_bytes(signature[32:], "little"), point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    return s < ORDER and times(s, base) == plus(point(signature[:32]), times(k % ORDER, point(key)))


def stamped(content):
    path, authority = HERE / "claim.json.tsr", Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "authority.pem"
    digests = [hashlib.new(name, content).digest() for name in ("sha256", "sha384", "sha512")]
    found = re.search(rb"\x18.(\d{14})[.\d]*Z", answer := path.read_bytes(), re.S)
    need(found and any(each in answer for each in digests), "the time stamp is of this claim.")
    date = datetime.strptime(found[1].decode() + "Z", "%Y%m%d%H%M%S%z")
    if shutil.which("openssl"):
        words = [*f"openssl ts -verify -attime {date.timestamp():.0f} -data".split(), HERE / "claim.json"]
        done = subprocess.run([*words, "-in", path, "-CAfile", authority], capture_output=True)
        need(done.returncode == 0, "the time stamp is of this claim, unchanged, and signed by the authority.")
    unseen = "" if shutil.which("openssl") else " NOT CHECKED, since there is no openssl here: its signature."
    print(f"The authority saw the claim on {date:%Y-%m-%d %H:%M:%S} UTC.{unseen}")
    return date


def chain(path, kind):
    """First line and other lines of a journal in which each follows on the one before."""
    need(path.exists(), f"{path.name} of {path.parent.name} is in the pack.")
    first, *rows = map(json.loads, raw := path.read_bytes().splitlines())
    need(first["exitprint"] == f"{kind} journal", f"{path.name} is a journal of a {kind}.")
    for number, row in enumerate(rows):
        need(row.get("before") == sha(raw[number]), f"line {number + 2} of {path.name} follows on the line before.")
    return first, rows


def tensors(content):
    """Header and arrays of a .safetensors file."""
    size = int.from_bytes(content[:8], "little")
    head, body = json.loads(content[8 : 8 + size]), content[8 + size :]
    made, arrays, types = json.loads(head.pop("__metadata__")["exitprint"]), {}, {"U8": "u1", "BOOL": "?", "I64": "<i8"}
    for name, each in head.items():
        arrays[name] = np.frombuffer(body[slice(*each["data_offsets"])], types[each["dtype"]]).reshape(each["shape"])
    return made, arrays


def threshold(made, arrays, begun):
    """What a share of pairs must beat: from references, change, and the pool of the originals."""
    known = [*made["references"], *begun["references"]]
    largest = max([np.max(each["share"]) for each in known], default=0)
    new, old = (arrays[each].reshape(len(arrays["late"]), -1).astype(float) for each in ("samples", "originals"))
    near = sorted(sorted(np.linalg.norm(old - each, axis=1))[1] for each in old)[(len(old) - 1) // 2]
    change = np.linalg.norm(new - old, axis=1).mean() / near if made["fingerprint"] == "contrast" else 0
    number = min(2, len({each["name"] for each in begun["references"]}))
    least = ((0.85 if known else 0.9) if change > 0.045 else 0.8, 0.7, 0.65)
    p0 = max(((0.8, 0.8, 0.77 if change > 0.25 else 0.7) if change > 0.1 else least)[number], (1 + largest) / 2)
    return min(0.95, round(p0 + sum(0.05 for part in (0.2, 0.4) if len(old) / made["pool"] > part), 4))


class Bet:
    """Evidence against "the mean is at most m", as logarithms: what it is now, and the `most` so far."""

    def __init__(self, m):
        self.m, self.rounds, self.most = m, [], 0.0

    def of(self, number):
        taken, part = np.array(self.rounds[number]), 0.25 / 2**number if number else 0.75
        growth = np.log1p(np.multiply.outer(taken / self.m - 1, STAKES)).sum(0)
        return log(part) + float(np.logaddexp.reduce(START + growth)), -number, taken.sum() > self.m * len(taken)

    def best(self):
        return max((self.of(number) for number, taken in enumerate(self.rounds) if taken), default=(log(0.75), False))

    def take(self, x):
        self.rounds[-1].append(x)
        self.most = max(self.most, self.best()[0])


def replay(name, rows, made, arrays, p0):
    """Logarithms of the evidence for a copy and for independence, and whether the share of pairs is over p0."""
    contrast, noisy = made["fingerprint"] == "contrast", bool(rows) and rows[0]["clock"] != "cost-model"
    samples, late, known, least = len(arrays["late"]), int(arrays["late"].sum()), {}, 1
    nature, against, copy, clear = Bet(0.5), Bet(0.5), Bet(p0), Bet(0.5)
    alpha, beta = -log(claim["alpha"]), -log(claim["beta"])
    sizes = {"early": samples - late, "early original": samples - late, "late": late, "late original": late}
    parts = [("early original", "late original", (nature, against)), ("late", "early", (copy, clear))]
    parts = parts if contrast else [("sample", "original", (copy, clear))]

    floors = sum(row["kind"] == "floor" for row in rows)
    unheard = iter(rows[:1] + rows[1 + floors :])

    def ask(one):
        if one in known:
            return known[one]
        row = next(unheard)
        asks = (row["kind"], row["index"], row["clock"])
        need(asks == (*one, rows[0]["clock"]), f"{name} asks what the seed says, and keeps to one clock.")
        return row["seconds"] if noisy else known.setdefault(one, row["seconds"])

    def settled(bets):
        natural = nature.most if contrast else inf
        sure = min(copy.most, natural) >= alpha or min(clear.most, natural) >= beta
        return sure if bets[0] is copy else natural >= max(alpha, beta) or against.most >= alpha

    with suppress(StopIteration):
        first, rng = parts[0][0], np.random.default_rng([claim["seed"], 0])
        warm_up = rng.permutation(np.resize(np.arange(sizes.get(first, samples)), 10))
        for index in warm_up[: 10 - floors if noisy else 1].tolist():
            ask((first, index))
        known.clear()
        for slow, quick, bets in parts:
            round_, ties = 0, [False]
            while not settled(bets) and (round_ == 0 or noisy or (round_ < 3 and np.mean(ties) <= 0.9)):
                round_, ties = round_ + 1, []
                bets[0].rounds.append([]), bets[1].rounds.append([])
                rng = np.random.default_rng([claim["seed"], 1 if bets[0] is nature else 2, round_])
                ones, half = rng.permutation(sizes.get(slow, samples)).tolist(), samples // 2
                others = rng.permutation(sizes[quick]).tolist() if contrast else ones[half:]
                pairs = list(zip(ones if contrast else ones[:half], others, strict=False))
                for place, coin in enumerate(rng.random(len(pairs)) < 0.5):
                    often = (1, 1, 3, 9)[place * 4 // len(pairs)] if round_ == 1 else (9, 27, 81)[min(round_ - 2, 2)]
                    often, pair, took = max(least, often), list(zip((slow, quick), pairs[place], strict=True)), ([], [])
                    for turn in range(often if noisy else 1):
                        for which in (0, 1) if coin == (turn % 2 == 0) else (1, 0):
                            took[which].append(ask(pair[which]))
                    a, b = (np.mean(sorted(each)[: (len(each) + 1) // 2]) for each in took)
                    ties.append(a == b)
                    bets[0].take((a > b) + (a == b) / 2), bets[1].take((a < b) + (a == b) / 2)
                    if settled(bets):
                        break
            if not settled(bets) or against.most >= alpha:
                break
            least = max(least, often)
    need(next(unheard, None) is None, f"{name} ends where the verification ended.")
    found = [min(bet.best()[0], nature.best()[0]) if contrast else bet.best()[0] for bet in (copy, clear)]
    return *found, copy.best()[-1]


def asked(kind):
    """The register of verifications, and what each came to."""
    folder = HERE / f"claim.{kind}"
    head, begun = chain(folder / "register.jsonl", "register") if folder.exists() else ({"networks": ()}, [])
    need(not begun or (head["claim"], head["kind"]) == (digest, kind), f"{folder.name} is of this claim.")
    for number, line in enumerate(begun, 1):
        name, line["found"] = f"{number:04d}.jsonl", (-inf, -inf, False)
        need(line["number"] == number and line["fingerprint"] in claim["fingerprints"], "the register is whole.")
        if line["fingerprint"] in opened:
            (first, rows), file = chain(folder / name, "verification"), opened[line["fingerprint"]]
            words = {"subject": f"{kind} {number} of the claim {digest}: {line['suspect']}"}
            words |= {"p0": threshold(*file, line), **{k: claim[k] for k in ("alpha", "beta", "seed")}}
            need(words.items() <= first.items(), f"{name} of {folder.name} is of this claim, its seed and error rates.")
            need(not rows or rows[-1]["requests"] <= claim["budget"], f"{name} keeps to the budget.")
            line["found"] = replay(f"{folder.name}/{name}", rows, *file, first["p0"])
    return list(head["networks"]), begun


envelope = json.loads(content := (HERE / "claim.json").read_bytes())
payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
claim, digest = json.loads(payload), sha(content)
message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
signature = base64.b64decode(envelope["signatures"][0]["sig"])
need(signed(bytes.fromhex(claim["key"]), message, signature), "the signature is of the key that the claim names.")
words = "\n".join(["exitprint seed", claim["network"], *claim["fingerprints"], claim["data"]["sha256"]])
need(claim["seed"] == int(sha(words.encode())[:8], 16), "the seed follows from what was committed to.")
print(f"The claim {digest} is signed with the key {claim['key']}.")
date = stamped(content) if (HERE / "claim.json.tsr").exists() else print("No time stamp: nothing proves the date.")
need(not date or abs(date - datetime.fromisoformat(claim["made"])) <= DAY, "the claim's date is the time stamp's.")
images, opened = (HERE / "images.txt").read_bytes(), {}
need(sha(images) == claim["data"]["sha256"], "the list of images is the one that was committed to.")
for committed, salt in json.loads((HERE / "claim.opening.json").read_text())["fingerprints"].items():
    file = (HERE / "fingerprints" / f"{committed}.safetensors").read_bytes()
    right = sha(bytes.fromhex(salt) + hashlib.sha256(file).digest()) == committed
    need(right and committed in claim["fingerprints"], "the fingerprint is one that was committed to.")
    opened[committed] = tensors(file)
    originals = {sha(each.tobytes()) for each in opened[committed][1]["originals"]}
    need(originals <= set(images.decode().split()), "the originals are in the data set.")
verdict, said = json.loads((HERE / "verdict.json").read_text()), []
(_, runs), (names, panel), (_, again) = map(asked, ("runs", "panel", "again"))
ours, again = ([line for line in lines if line["suspect"] == verdict["suspect"]] for lines in (runs, again))
need(ours, "a verification of the suspect was begun.")
for who, lines in ((f"the owner in {len(ours)} of {len(runs)} verifications", ours), ("the judge", again)):
    if lines:
        copy, clear = (float(np.logaddexp.reduce([of["found"][i] for of in lines])) - log(len(lines)) for i in (0, 1))
        derived, independent = copy >= -log(claim["alpha"]), clear >= -log(claim["beta"])
        said.append("inconclusive" if derived == independent else "derived" if derived else "independent")
        print(f"Asked by {who} the suspect is {said[-1]}; the e-value is {exp(copy):.4g}.")
how = ("fingerprint", "clock", "amplification", "address", "references")
alike = all(line[each] == ours[0][each] for line in panel + again for each in how)
need(alike, "the judge asked his networks, and the suspect, as the owner asked first.")
need(names == [line["suspect"] for line in panel], "every network of the panel was asked, and none is hidden.")
p_value = np.mean([line["found"][0] >= ours[0]["found"][0] for line in (ours[0], *panel)]) if panel else None
panel and print(f"The suspect's rank among {len(panel)} networks of the judge has the exact p-value {p_value:.4g}.")
sunk = said[0] == "derived" and any(line["found"][2] for line in panel)
decision = "inconclusive" if sunk or said[-1] != said[0] else said[0]
for name in dict.fromkeys(each["name"] for line in runs for each in line["references"]):
    print(f"NOT CHECKED, since its network is not here: what the reference {name!r} came to.")
found = {"decision": decision, "panel_p_value": p_value, "again": said[1] if again else None}
need(found.items() <= verdict.items(), "the verdict is what the answers say.")
print(f"Everything holds. Verdict: {decision}.")
