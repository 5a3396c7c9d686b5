#!/bin/sh
# What a GPU has to show, in one go: the tests that need one, the speed beside PyTorch's, a run of each script with its
# pictures. All goes to a folder, and nothing that fails stops the rest. In the root of the repository, where lsgan, CuPy and,
# for its rows, PyTorch are installed:
#
#     sh benchmarks/gpu.sh OUT
#     sh benchmarks/gpu.sh OUT -1 --iterations 20         the same on the CPU, with short runs, to see that it works
out=${1:?usage: sh benchmarks/gpu.sh OUT [DEVICE [FLAGS OF EVERY TRAINING SCRIPT]]}
device=${2:-0}
[ $# -ge 2 ] && shift 2 || shift 1
mkdir -p "$out"

python -c 'import lsgan, chainer; chainer.print_runtime_info()' > "$out/versions.txt"
command -v nvidia-smi > /dev/null && nvidia-smi >> "$out/versions.txt"
pytest -m gpu -q -rs > "$out/tests.txt" 2>&1
tail -n 1 "$out/tests.txt"
python benchmarks/speed.py --device "$device" 2>&1 | tee "$out/speed.txt"
for script in gaussian mnist anime; do
    python "train_$script.py" --device "$device" -o "$out/$script" "$@" > "$out/$script.txt" 2>&1 &&
        python visualize.py all "$out/$script" >> "$out/$script.txt" 2>&1
    tail -n 1 "$out/$script.txt"
done
