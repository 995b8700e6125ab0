"""LaTeX tables: what is written, and that TeX compiles it.

Compiling is part of the plain test run only where pdflatex is installed; with PYML_REQUIRE_TEX=1 (``make latex``) its
absence is a failure.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import text
from made_runs import Invoke
from written_runs import measure, record, write_run

from results.text.latex import latex_cell, latex_text

PDFLATEX = shutil.which("pdflatex")
REQUIRED = os.environ.get("PYML_REQUIRE_TEX") == "1"
needs_tex = pytest.mark.skipif(PDFLATEX is None and not REQUIRED, reason="pdflatex is not installed")

NASTY = "&%$#_{}~^\\ <|>[]\"'` é Å ñ ß ł ő ẽ ﬁ σ Ω µ ± × − … ² ½ ① 中文 😀 \ufffd \u202e x\u2011y \\input{x} \\\\[1em]"
DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs,textcomp,siunitx,etoolbox}
\robustify\bfseries
\sisetup{separate-uncertainty=true, detect-weight=true}
\begin{document}
%s
\end{document}
"""


@given(text())
def test_any_text_becomes_printable_ascii_with_balanced_braces(name: str) -> None:
    escaped = latex_text(name)
    assert escaped.isascii()
    assert escaped.isprintable() or not escaped
    plain = escaped.replace(r"\{", "").replace(r"\}", "")
    assert plain.count("{") == plain.count("}")
    assert not re.search(r"(?<!\\)[%&#_]", escaped)


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("größe", r"gr\"{o}\ss{}e"),
        ("Åström", r"\r{A}str\"{o}m"),
        ("σ_data", r"$\sigma$\_data"),
        ("ΔΩ", r"$\Delta$$\Omega$"),
        ("µs", r"$\mu$s"),
        ("\ufffd", r"\texttt{U+FFFD}"),
        ("中", r"\texttt{U+4E2D}"),
        ("Α", r"\texttt{U+0391}"),  # a Greek capital that looks like A has no command
        ("loss ↓", r"loss $\downarrow$"),
    ],
)
def test_letters_beyond_ascii_become_commands_or_their_code(name: str, escaped: str) -> None:
    assert latex_text(name) == escaped


def test_a_power_of_ten_is_a_power() -> None:
    assert latex_cell("(2.0 ± 2.5)e-07 (n=3)") == r"$(2.0 \pm 2.5) \times 10^{-7}$ (n=3)"


def write(experiments: Path) -> None:
    values = {"mlp": (0.30, 0.33, 0.34), "unet": (-12.5, -12.4, -12.6)}
    for i, (model, losses) in enumerate(values.items()):
        for seed, loss in enumerate(losses):
            lines = [
                record(loss),
                record(3600 + 60 * loss, measure("time/train", unit="run"), error=None),
                record(1e-9 * (seed + 1), measure(f"odd {NASTY}")),
            ]
            write_run(experiments, 10 * i + seed, lines, model=model, seed=seed, dataset=NASTY if i else "digits")


def test_siunitx_columns_have_room_for_the_longest_number(experiments: Path, invoke: Invoke) -> None:
    write(experiments)
    options = ("--columns", "model,loss,time/train", "--format", "latex", "--siunitx")
    code, out, _ = invoke("table", *options)
    assert code == 0
    body = [line for line in out.splitlines() if not line.startswith("%")]
    # by hand: sd 0.020817 and 0.1 over three runs, t = 4.30265; times are in minutes: 60 + loss
    assert body == [
        r"\begin{tabular}{lS[table-format=-2.3(2)]S[table-format=2.3(2)]}",
        r"\toprule",
        r"model & {loss $\downarrow$} & {time/train $\downarrow$ (min)} \\",
        r"\midrule",
        r"mlp & 0.323 +- 0.052 & 60.323 +- 0.052 \\",
        r"unet & \bfseries -12.50 +- 0.25 & \bfseries 47.50 +- 0.25 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@needs_tex
@pytest.mark.parametrize("options", [(), ("--siunitx",), ("--siunitx", "--error", "se", "--no-within")])
def test_tables_compile(experiments: Path, invoke: Invoke, tmp_path: Path, options: tuple[str, ...]) -> None:
    write(experiments)
    written = tmp_path / "table.tex"
    code, _, _ = invoke("table", "--metric", "*", "--sort", "model", "-o", written, *options)
    assert code == 0
    (tmp_path / "main.tex").write_text(DOCUMENT % r"\tiny\input{table}")
    assert PDFLATEX, "pdflatex is not installed (Debian: texlive-latex-recommended texlive-science)"
    command = [PDFLATEX, "-no-shell-escape", "-halt-on-error", "-interaction=nonstopmode", "main.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert (tmp_path / "main.pdf").stat().st_size > 1000


@pytest.mark.parametrize("options", [("--siunitx",), ("--siunitx", "--format", "csv")])
def test_siunitx_needs_latex(experiments: Path, invoke: Invoke, options: tuple[str, ...]) -> None:
    write(experiments)
    code, _, err = invoke("table", *options)
    assert code == 2
    assert "--siunitx needs --format latex or a .tex file" in err
