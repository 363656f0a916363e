"""What objects say of themselves, in a terminal and in a notebook."""

from __future__ import annotations

from dataclasses import replace

import torch

import user_modules as user
from exitprint.display import html_table
from exitprint.fingerprints import PaperMethod, Verdict, paper_fingerprint
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture, exit_costs


def test_a_network_shows_its_exits_and_costs():
    network = MultiExitNetwork.build(architecture("resnet8", (1, 8, 8), 10, width=4), 0, ExitPolicy([0.5, 2.0, 0.7]))
    lines = repr(network).splitlines()
    assert lines[0] == "MultiExitNetwork (resnet 8, width 4): images 1×8×8, 10 classes, leaves by confidence"
    assert len(lines) == 2 + network.num_exits
    for line, cost in zip(lines[2:], exit_costs(network), strict=True):
        assert f"{cost:.1%}" in line
    assert "0.500" in lines[2] and "closed" in lines[3] and "takes all" in lines[-1]
    assert network.training
    page = network._repr_html_()
    assert page.count("<tr>") == 1 + network.num_exits and "100.0%" in page


def test_a_wrapped_network_names_the_users_submodules_and_one_of_his_own_making_its_stages():
    wrapped = MultiExitNetwork.wrap(user.Residual(), ["blocks.1"], example=torch.rand(2, 1, 8, 8))
    assert "wrapped" in repr(wrapped) and "blocks.1" in repr(wrapped)
    heads = [(0, torch.nn.Linear(64, 3)), (1, torch.nn.Linear(64, 3))]
    own = MultiExitNetwork([torch.nn.Flatten(), torch.nn.Identity()], heads, ExitPolicy(0.4), (1, 8, 8))
    assert "of its own making" in repr(own) and "stage 1" in repr(own)


def test_fingerprint_and_verdict_show_themselves_in_a_notebook(digits):
    network = MultiExitNetwork.build(architecture("resnet8", digits.input_shape, 10, width=4), 0, ExitPolicy(0.9))
    made = paper_fingerprint(network, digits.test, samples=3, method=PaperMethod(steps=2), check=False)
    assert repr(made).startswith("Fingerprint (paper): 3 samples of 1×8×8, 3 late")
    assert "reached their goal" in made._repr_html_()
    said = {"share": 0.9, "interval": (0.8, 1.0), "nature": None, "nature_interval": None, "reason": "a <copy> of it"}
    counted = {"e_value": 1e5, "e_value_independent": 1.0, "p_value": 1e-5, "requests": 10, "seconds": 1.0, "seed": 0}
    limits = {"p0": 0.65, "alpha": 1e-3, "beta": 1e-3, "assumptions": (), "floor": None, "bytes": None}
    verdict = Verdict(decision="derived", kind="paper", clock="measured", **said, **counted, **limits)
    assert "90% of the pairs" in verdict._repr_html_() and "a &lt;copy&gt; of it" in verdict._repr_html_()
    nothing = replace(verdict, kind="contrast", decision="inconclusive", share=None)
    assert "nothing was compared" in nothing._repr_html_()


def test_what_is_shown_is_escaped():
    page = html_table("<b>", [("<script>", 1)], ("<i>",))
    assert "<script>" not in page and "<i>" not in page and "&lt;b&gt;" in page
