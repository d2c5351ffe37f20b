#!/usr/bin/env bash
# Packages: lm-eval 0.4.13 (it requires scikit-learn), transformers 5.19.0, torch 2.13.0, scikit-learn 1.9.1.
#
# Expected: installing an evaluation tool beside a serving or training stack changes nothing in how
# that stack starts; scikit-learn, which generation does not need, stays unloaded.
#
# What happens: `transformers.generation` imports `sklearn.metrics` at its top level whenever
# scikit-learn is installed (transformers/generation/candidate_generator.py, for the confidence
# threshold of assisted decoding), and scikit-learn loads SciPy. Every process that imports a model
# class pays for both, whether or not it ever decodes with an assistant.
#
# Why it matters here: one `make test-all` starts dozens of trainers and engines. In the development
# environment, where lm-eval brought scikit-learn, the import took 6.5 s of processor time instead of
# 3.0 s on the machine it was noticed on. The project leaves scikit-learn and SciPy out of that
# environment (requirements/excludes.txt), and tests/constraints/test_library.py holds what replaces them.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
pip install torch==2.13.0 || pip install 'torch==2.13.0+cpu'
pip install transformers==5.19.0 numpy==2.3.5

loaded() {
    "$folder/venv/bin/python" - <<'PYTHON'
import sys
import time

began = time.process_time()
import transformers.generation.candidate_generator

print(
    "sklearn loaded:", "sklearn" in sys.modules,
    "| scipy loaded:", "scipy" in sys.modules,
    f"| {time.process_time() - began:.1f} s of processor time",
)
PYTHON
}

loaded >/dev/null # compiles the files, so that the times below compare
without=$(loaded)
echo "before scikit-learn is installed: $without"
pip install scikit-learn==1.9.1
loaded >/dev/null
with=$(loaded)
echo "after scikit-learn is installed:  $with"

requires=$(pip download --no-deps --no-binary :none: -d "$folder" lm-eval==0.4.13 >/dev/null &&
    "$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
import zipfile
from pathlib import Path

wheel = next(Path(sys.argv[1]).glob("lm_eval-*.whl"))
with zipfile.ZipFile(wheel) as archive:
    name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    lines = archive.read(name).decode().splitlines()
print(*[line for line in lines if line.startswith("Requires-Dist: scikit-learn")], sep="\n")
PYTHON
)
echo "lm-eval 0.4.13: $requires"

[[ $without == "sklearn loaded: False"* ]]
[[ $with == "sklearn loaded: True | scipy loaded: True"* ]]
[[ $requires == *scikit-learn* && $requires != *extra* ]]
echo "as described"
