#!/bin/sh
# Test and measure lsgan on a GPU in a few minutes: run the GPU tests, compare the speed with PyTorch and stock Chainer, run
# each script for a short time and draw its pictures, and train the blog's networks for 96x96 faces in the remaining time.
#
#     sh benchmarks/gpu.sh OUT                        within 8 minutes, in the root of the repository
#     sh benchmarks/gpu.sh OUT --limit 1200 --images FACES.zip --mnist FOLDER
#     sh benchmarks/gpu.sh OUT --parts blog           continue training the blog's networks
#     sh benchmarks/gpu.sh OUT --tiny                 tiny networks, to check this script itself, also with an emulated GPU
#
#   --limit SECONDS   time limit for everything, in seconds (default: 480)
#   --parts LIST      parts to run, any of tests, speed, scripts and blog, in quotes (default: all)
#   --images PATH     images for the blog's networks, as for train_anime.py (default: drawn cartoon faces)
#   --mnist PATH      MNIST's files (default: those in the cache, into which train_mnist.py downloads them)
#   --device N        number of the GPU (default: 0)
#   --tiny            use tiny networks and few updates
#
# Each part has its own time limit, and its output goes to a file in OUT. A part that fails does not stop the others. Each part
# is one line in OUT/summary.txt: ok, failed (with the exit status) or timeout, and its time in seconds. The blog's runs always
# end with a timeout, because they use up the remaining time; they have saved their state by then. The exit status is 1 if a
# part has failed.
#
# This script needs a Python (python, or $PYTHON) with lsgan's dependencies, CuPy and pytest. For PyTorch's rows it also needs
# PyTorch. With --mnist it downloads nothing.
set -u

usage() {
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
    exit 2
}

case ${1:---} in -*) usage ;; esac
out=$1 limit=480 parts='tests speed scripts blog' images='' digits='' device=0 tiny=''
shift
while [ $# -gt 0 ]; do
    case $1 in
        --tiny) tiny=yes; shift; continue ;;
    esac
    [ $# -ge 2 ] || usage
    case $1 in
        --limit) limit=$2 ;;
        --parts) parts=$2 ;;
        --images) images=$2 ;;
        --mnist) digits=$2 ;;
        --device) device=$2 ;;
        *) usage ;;
    esac
    shift 2
done

python=${PYTHON:-python}
end=$(($(date +%s) + limit))
reserve=$((limit / 40))     # seconds that a part has to finish when its time is over
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
mkdir -p "$out"
: > "$out/summary.txt"

left() {
    echo $((end - $(date +%s) - reserve))
}

# part NAME SECONDS SIGNAL COMMAND...: run a command, and send it the signal when its time is over
part() {
    name=$1 seconds=$2 signal=$3 start=$(date +%s)
    shift 3
    [ "$seconds" -le "$(left)" ] || seconds=$(left)
    status=124
    if [ "$seconds" -gt 0 ]; then
        timeout -s "$signal" -k $((reserve + 1)) "$seconds" "$@" > "$out/$name.txt" 2>&1
        status=$?
    fi
    case $status in
        0) result=ok ;;
        124 | 137) result=timeout ;;
        *) result="failed ($status)" ;;
    esac
    printf '%-20s%-14s%4d s\n' "$name" "$result" $(($(date +%s) - start)) | tee -a "$out/summary.txt"
    [ "$status" = 0 ]
}

# share PERCENT: print this percentage of the whole time, in seconds
share() {
    echo $((limit * $1 / 100))
}

wanted() {
    case " $parts " in *" $1 "*) ;; *) return 1 ;; esac
}

if [ "$tiny" ]; then
    speed='--narrow 16 --batchsize 4 --rounds 2 --seconds 0.05'
    networks='--batchsize 6 --hidden-g 6 4 --hidden-d 4 6' faces='--size 32 --metric-samples 6'
    gaussian="--iterations 6 $networks" mnist="--iterations 6 $networks --metric-samples 20"
    anime="--iterations 6 $networks $faces" blog="$networks $faces"
else
    speed="--rounds 5 --seconds 0.25 --warm-up-limit $(share 15)"
    gaussian='--iterations 5000' mnist='--iterations 2000' anime='--iterations 500' blog=''
fi

part versions 30 TERM "$python" -c '
import importlib.metadata, platform
print("Python", platform.python_version())
print(*sorted(f"{found.name} {found.version}" for found in importlib.metadata.distributions()), sep="\n")'
command -v nvidia-smi > /dev/null && nvidia-smi >> "$out/versions.txt"

if wanted tests; then
    # only files with GPU tests, because others may import packages that are not installed; at SIGINT pytest prints its summary
    files=$(grep -rl 'mark\.gpu' --include='test_*.py' tests)
    part tests "$(share 18)" INT "$python" -m pytest -q -rs -p no:cacheprovider -m 'gpu and not script' $files
    part tests-of-scripts "$(share 10)" INT "$python" -m pytest -q -rs -p no:cacheprovider -m 'gpu and script' $files
fi

if wanted speed; then
    part speed "$(share 50)" TERM "$python" benchmarks/speed.py gaussian mnist dcgan64 dcgan96 --device "$device" $speed
fi

# train SCRIPT FLAGS...: train for a short time, and draw the pictures
train() {
    script=$1
    shift
    part "$script" "$(share 12)" TERM "$python" "train_$script.py" --device "$device" --resume -o "$out/$script" "$@"
    part "$script-pictures" "$(share 12)" TERM "$python" visualize.py all "$out/$script"
}

if wanted scripts; then     # all at once, because their work on the CPU takes longest
    train gaussian $gaussian &
    train mnist $mnist ${digits:+--data "$digits"} &
    train anime $anime ${images:+--images "$images"} &
    wait
fi

if wanted blog; then
    seconds=$(($(left) / 2))
    for loss in lsgan wgan; do
        part "blog-$loss" "$seconds" TERM "$python" train_anime.py --preset blog --loss "$loss" --device "$device" --resume \
            -o "$out/blog-$loss" ${images:+--images "$images"} $blog
        seconds=$(left)
    done
fi

for log in tests tests-of-scripts speed; do
    grep -q "^$log " "$out/summary.txt" && echo && tail -n 40 "$out/$log.txt"
done
sed -n 's/  *failed.*//p' "$out/summary.txt" | while read -r name; do
    printf '\n%s:\n' "$name"
    tail -n 3 "$out/$name.txt"
done
echo
cat "$out/summary.txt"
! grep -q failed "$out/summary.txt"
