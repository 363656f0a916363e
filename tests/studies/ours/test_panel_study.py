from exitprint_studies.ours.panel import PANEL, Panelled, table, with_panels


def row(name, said, e_value, copy=False, follows=False):
    return {
        "fingerprint": "f",
        "L2": 1.0,
        "suspect": name,
        "rule": "owner's" if copy else "rule",
        "copy": copy,
        "said": said,
        "e-value": e_value,
        "follows": follows or said == "derived",
        "change": "9%",
    }


HONEST = [row(f"n{k}", "independent", 1.0 + k / 100) for k in range(19)]


def test_a_panel_without_a_claim_costs_a_copy_nothing():
    assert with_panels(row("copy", "derived", 2000.0), HONEST, 0) == Panelled(1.0, 1.0, 1.0)


def test_what_is_not_claimed_stays_so():
    assert with_panels(row("suspect", "independent", 1.005), HONEST, 0) == Panelled(0.0, 0.0, 0.0)


def test_a_forgery_that_claims_most_claims_nobody_before_a_panel():
    forged = [row(f"n{k}", "derived", 2000.0) for k in range(11)] + HONEST[11:]
    assert PANEL + len(forged) - 11 < len(forged)
    assert with_panels(row("suspect", "derived", 2000.0), forged, 0).unclaimed == 0


def test_networks_that_follow_sink_what_none_of_them_is_claimed_by():
    forged = [row(f"n{k}", "inconclusive", 100.0, follows=True) for k in range(11)] + HONEST[11:]
    found = with_panels(row("suspect", "derived", 2000.0), forged, 0)
    assert (found.unclaimed, found.claimed, found.ranked) == (1.0, 0.0, 1.0)


def test_a_panel_is_drawn_from_other_networks_only():
    rows = [row("n0", "derived", 2000.0), *HONEST[1:]]
    found = table([*rows, row("copy", "derived", 3000.0, copy=True)])
    independents, copies = found
    assert independents["derived"] == 1 and independents["derived, and none of nine is"] == 1.0
    assert copies["derived"] == 1 and copies["derived, and none of nine follows"] < 1.0
