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

HERE = Path(__file__).resolve().parent
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
    """The time of the claim's time stamp."""
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
    raw = path.read_bytes().splitlines()
    first, *rows = map(json.loads, raw)
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
        part = body[slice(*each["data_offsets"])]
        arrays[name] = np.frombuffer(part, types[each["dtype"]]).reshape(each["shape"])
    return made, arrays


def threshold(made, arrays, begun):
    """What a share of pairs must beat: from the owner's references, the asker's, and the pool of the originals."""
    shares = [max(each["share"]) for each in made["references"]] + [each["share"] for each in begun["references"]]
    p0 = max((0.8, 0.7, 0.65)[min(len(shares), 2)], (1 + max(shares, default=0)) / 2)
    return round(p0 + (0.05 if len(arrays["late"]) / made["pool"] > 0.2 else 0), 4)


class Bet:
    """Evidence against "the mean is at most m": `now`, and the most so far, as logarithms."""

    def __init__(self, m):
        self.m, self.round, self.past, self.most, self.wealth = m, 1, -inf, 0.0, START

    @property
    def now(self):
        part = 0.75 if self.round == 1 else 0.25 / 2 ** (self.round - 1)
        return max(self.past, log(part) + float(np.logaddexp.reduce(self.wealth)))

    def take(self, x):
        self.wealth = self.wealth + np.log1p(STAKES * (x / self.m - 1))
        self.most = max(self.most, self.now)


def replay(name, rows, made, arrays, claim, p0):
    """Logarithms of the evidence for a copy and for independence, by asking the journal what was to be asked."""
    contrast, noisy = made["fingerprint"] == "contrast", bool(rows) and rows[0]["clock"] != "cost model"
    samples, late, known, heard, least = len(arrays["late"]), int(arrays["late"].sum()), {}, 0, 1
    nature, against, copy, clear = Bet(0.5), Bet(0.5), Bet(p0), Bet(0.5)
    alpha, beta = -log(claim["alpha"]), -log(claim["beta"])
    sizes = {"early": samples - late, "late": late, "sample": samples, "original": samples}
    sizes |= {"early original": samples - late, "late original": late}
    parts = [("early original", "late original", (nature, against)), ("late", "early", (copy, clear))]
    parts = parts if contrast else [("sample", "original", (copy, clear))]

    def ask(one):
        nonlocal heard
        if one in known:
            return known[one]
        if heard == len(rows):
            raise EOFError
        row, heard = rows[heard], heard + 1
        need((row["kind"], row["index"]) == one, f"line {heard + 1} of {name} asks what the seed says.")
        need(row["clock"] == rows[0]["clock"], f"{name} keeps to one clock.")
        return row["seconds"] if noisy else known.setdefault(one, row["seconds"])

    def settled(bets):
        natural = nature.most if contrast else inf
        sure = min(copy.most, natural) >= alpha or min(clear.most, natural) >= beta
        return sure if bets[0] is copy else natural >= max(alpha, beta) or against.most >= alpha

    with suppress(EOFError):
        warm_up = np.random.default_rng([claim["seed"], 0]).permutation(np.resize(np.arange(sizes[parts[0][0]]), 10))
        for index in warm_up[: None if noisy else 1].tolist():
            if heard < 10:
                ask((parts[0][0], index))
            while heard < len(rows) and rows[heard]["kind"] == "floor":
                heard += 1
        known.clear()
        for slow, quick, bets in parts:
            round_, ties = 0, [False]
            while not settled(bets) and (round_ == 0 or noisy or (round_ < 3 and np.mean(ties) <= 0.9)):
                round_, ties = round_ + 1, []
                for bet in bets if round_ > 1 else ():
                    bet.past, bet.round, bet.wealth = bet.now, round_, START
                rng = np.random.default_rng([claim["seed"], 1 if bets[0] is nature else 2, round_])
                ones, half = rng.permutation(sizes[slow]).tolist(), samples // 2
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
    need(heard == len(rows), f"{name} ends where the verification ended.")
    return tuple(min(bet.now, nature.now) if contrast else bet.now for bet in (copy, clear))


def asked(folder, kind, claim, digest, opened):
    """The register of verifications, and what each came to."""
    head, begun = chain(folder / "register.jsonl", "register")
    need((head["claim"], head["kind"]) == (digest, kind), f"{folder.name} is of this claim.")
    for number, line in enumerate(begun, 1):
        name, line["found"] = f"{number:04d}.jsonl", (-inf, -inf)
        need(line["number"] == number and line["fingerprint"] in claim["fingerprints"], "the register is whole.")
        if line["fingerprint"] in opened:
            made, arrays = opened[line["fingerprint"]]
            first, rows = chain(folder / name, "verification")
            words = {"subject": f"{kind} {number} of the claim {digest}: {line['suspect']}"}
            words |= {"p0": threshold(made, arrays, line), **{k: claim[k] for k in ("alpha", "beta", "seed")}}
            need(words.items() <= first.items(), f"{name} of {folder.name} is of this claim, its seed and error rates.")
            need(not rows or rows[-1]["requests"] <= claim["budget"], f"{name} keeps to the budget.")
            line["found"] = replay(f"{folder.name}/{name}", rows, made, arrays, claim, first["p0"])
    return head, begun


def main():
    content = (HERE / "claim.json").read_bytes()
    envelope = json.loads(content)
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    claim, digest = json.loads(payload), sha(content)
    message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    need(signed(bytes.fromhex(claim["key"]), message, signature), "the signature is of the key that the claim names.")
    words = "\n".join(["exitprint seed", claim["network"], *claim["fingerprints"], claim["data"]["sha256"]])
    need(claim["seed"] == int(sha(words.encode())[:8], 16), "the seed follows from what was committed to.")
    print(f"The claim {digest} is signed with the key {claim['key']}.")
    if (HERE / "claim.json.tsr").exists():
        apart = stamped(content) - datetime.fromisoformat(claim["made"])
        need(abs(apart) <= timedelta(days=1), "the claim's date is the time stamp's.")
    else:
        print("There is no time stamp: nothing proves the date.")
    images, opened = (HERE / "images.txt").read_bytes(), {}
    need(sha(images) == claim["data"]["sha256"], "the list of images is the one that was committed to.")
    for committed, salt in json.loads((HERE / "claim.opening.json").read_text())["fingerprints"].items():
        file = (HERE / "fingerprints" / f"{committed}.safetensors").read_bytes()
        right = sha(bytes.fromhex(salt) + hashlib.sha256(file).digest()) == committed
        need(right and committed in claim["fingerprints"], "the fingerprint is one that was committed to.")
        opened[committed] = tensors(file)
        originals = {sha(each.tobytes()) for each in opened[committed][1]["originals"]}
        need(originals <= set(images.decode().split()), "the originals are in the data set.")
    verdict = json.loads((HERE / "verdict.json").read_text())
    _, runs = asked(HERE / "claim.runs", "runs", claim, digest, opened)
    ours = [line["found"] for line in runs if line["suspect"] == verdict["suspect"]]
    need(ours, "a verification of the suspect was begun.")
    copy, clear = (float(np.logaddexp.reduce(each)) - log(len(ours)) for each in zip(*ours, strict=True))
    derived, independent = copy >= -log(claim["alpha"]), clear >= -log(claim["beta"])
    said = "inconclusive" if derived == independent else "derived" if derived else "independent"
    print(f"{len(ours)} of {len(runs)} verifications are of {verdict['suspect']}; their e-value is {exp(copy):.4g}.")
    p_value = None
    if (HERE / "claim.panel").exists() or verdict["panel"]:
        head, panel = asked(HERE / "claim.panel", "panel", claim, digest, opened)
        names, found = [line["suspect"] for line in panel], [line["found"][0] for line in panel]
        need(names == list(head["networks"]), "every network of the panel was asked, and none is hidden.")
        p_value = (1 + sum(each >= ours[0][0] for each in found)) / (1 + len(found))
        said = "inconclusive" if said == "derived" and max(found) >= -log(claim["alpha"]) else said
        print(f"{len(found)} networks of a panel: the exact p-value of the suspect's rank is {p_value:.4g}.")
    need((said, p_value) == (verdict["decision"], verdict["panel_p_value"]), "the verdict is what the answers say.")
    print(f"Everything holds. Verdict: {said}.")


main()
