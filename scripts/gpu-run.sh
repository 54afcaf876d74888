#!/usr/bin/env bash
# Measures on a machine with a GPU that is at hand for minutes only; see usage below.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: scripts/gpu-run.sh PART

From a bare checkout, with the frameworks that this Python has. Each part ends by itself within eight minutes; what is
finished is kept, and the same call again goes on from there.

  parity       proofs in float64 of every workload; then tiny and small cells in fp32 on the device, each compared
               with float64
  probes       tiny cells at every precision and variant, short: what precision products really have
  gan          this workload at its size for accelerators: every precision and variant, three times
  autoencoder  the same
  lm           the same

Runs: $RUN holds gan, autoencoder and lm; $RUN-tiny and $RUN-small hold the cells of parity, $RUN-probes those of probes.
bench merge makes one of them. There is no report: bench report writes it wherever pandas and plotly are.

Variables:
  PYTHON      python3                       runs everything
  RUN         results/gpu-<name>-<date>     give it where two days are to be one run
  IMPLS       torch,jax                     frameworks, as --impl takes them
  PLATFORM    cuda                          PLATFORM=cpu SIZE=tiny is a rehearsal without a GPU
  SIZE        base                          of gan, autoencoder and lm; tiny leaves small out of parity
  PRECISIONS  fp32,tf32,bf16,fp16           of gan, autoencoder and lm
  REPEATS     3                             of gan, autoencoder and lm
  LIMIT       450                           seconds after which a part is stopped
  WHEELS                                    a folder of wheels: those of packages that this Python lacks go to
                                            build/gpu/site, which only this script looks at
  SAMESTEP_CACHE  build/gpu/cache           proofs and references

Exit: 0 done; 1 something failed or differs; 2 wrong input; 75 stopped by the limit: call it again.
TEXT
}

refuse() {
    echo "gpu-run: $1" >&2
    exit 2
}

# Name of the first GPU as a part of a file's name.
device_name() {
    nvidia-smi --query-gpu=name --format=csv,noheader --id=0 2>/dev/null |
        tr '[:upper:]' '[:lower:]' | tr -cs '[:alnum:]\n' '-' || true
}

# Install the wheels of $WHEELS whose package is not here. Others stay out: a second numpy or jaxlib would hide the
# machine's own, which is the one built for its GPU.
carry() {
    local wheels
    wheels=$("$PYTHON" - "$1" <<'CODE'
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

for wheel in sorted(Path(sys.argv[1]).glob("*.whl")):
    try:
        version(wheel.name.split("-")[0])
    except PackageNotFoundError:
        print(wheel)
CODE
    )
    [[ -n $wheels ]] || return 0
    echo "gpu-run: installing $(wc -l <<<"$wheels") wheels into $SITE"
    local -a files
    mapfile -t files <<<"$wheels"
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --target "$SITE" "${files[@]}" ||
        refuse "pip cannot install the wheels of $1 for this Python"
}

# One line that names what this Python lacks. Each is really imported, so that what it needs itself is found too; the
# frameworks are only looked for, as importing them takes seconds.
check_packages() {
    local lacking
    lacking=$("$PYTHON" - "$IMPLS" <<'CODE'
import importlib
import sys
from importlib.util import find_spec

WHEELS = {"pynvml": "nvidia-ml-py", "markdown_it": "markdown-it-py", "absl": "absl-py", "annotated_doc": "annotated-doc"}
sought = ["numpy", "pynvml", "psutil", "rich.table", "scipy.stats", "typer"]
impls = sys.argv[1].split(",")
lacking = [name for name in ("torch", "jax") if name in impls and find_spec(name) is None]
if "jax" in impls and "jax" not in lacking:
    sought.append("optax")
for name in sought:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).split(".")[0]
        lacking.append(WHEELS.get(missing, missing))
    except ImportError as error:
        lacking.append(f"{name} that can be imported ({error})")
print(" ".join(dict.fromkeys(lacking)))
CODE
    ) || refuse "$PYTHON does not run"
    [[ -z $lacking ]] || refuse "$PYTHON lacks: $lacking. Carry their wheels (where there is a network: pip download \
--dest wheels --only-binary :all: $lacking) and name the folder: WHEELS=wheels scripts/gpu-run.sh $PART"
}

# Run bench until it ends or the part's time is over. SIGTERM, as SIGINT is ignored in what a shell starts in the
# background; bench takes both alike. In the foreground, so that Ctrl-C reaches it, and no process of a cell is hit.
bench() {
    local left=$((DEADLINE - SECONDS)) code=0
    ((left > 0)) || stop
    timeout --foreground --signal=TERM --kill-after=15 "$left" "$PYTHON" -m bench "$@" || code=$?
    case $code in
        0) ;;
        2) exit 2 ;;
        124 | 137) stop ;;
        130) exit 130 ;;
        *) FAILED=1 ;; # the rest is worth measuring all the same
    esac
}

stop() {
    echo "gpu-run: stopped after $LIMIT s; what is finished is kept. Go on: RUN=$RUN scripts/gpu-run.sh $PART" >&2
    exit 75
}

# plan FOLDER OPTION…: the folder of a run with its whole plan, unless it is there.
plan() {
    local folder=$1
    shift
    [[ -e $folder/run.json ]] ||
        bench run --impl "$IMPLS" --platform "$PLATFORM" --variant all --out "$folder" --plan-only "$@"
}

# measure FOLDER WORKLOAD…: what is missing of these, one after another, so that each has its verdicts before the next.
measure() {
    local folder=$1 workload
    shift
    for workload in "$@"; do
        bench run --resume "$folder" --workload "$workload" --no-report
    done
}

# judge FOLDER: the verdicts that did not fit into the time of the measurements; all is measured, so there is no limit.
judge() {
    bench run --resume "$1" --no-report
}

# The rows of a proof are its mark that it was made: what is proven is in the cache, where runs find it.
prove() {
    local rows=build/gpu/verify/$1-$2.jsonl
    [[ ! -e $rows ]] || return 0
    mkdir -p "${rows%/*}"
    local failed_before=$FAILED
    FAILED=0
    bench verify --impl "$IMPLS" --workload "$1" --size "$2" --precision fp64 --json >"$rows.part"
    if ((FAILED)); then
        echo "gpu-run: $1 $2 is not proven: see $rows.part" >&2
    else
        mv "$rows.part" "$rows"
        echo "gpu-run: $1 $2 is proven: $rows"
        FAILED=$failed_before
    fi
}

parity() {
    local workload size
    local -a sizes=(tiny)
    [[ $SIZE == tiny ]] || sizes+=("$SIZE")
    for size in "${sizes[@]}"; do
        for workload in "${WORKLOADS[@]}"; do prove "$workload" "$size"; done
    done
    plan "$RUN-tiny" --size tiny --precision fp32 --repeats 1 --min-time 0.3
    measure "$RUN-tiny" "${WORKLOADS[@]}"
    judge "$RUN-tiny"
    [[ $SIZE != tiny ]] || return 0
    # Of eight samples: the float64 of lm, on a processor, would take most of the part's time.
    plan "$RUN-small" --size small --batch 8 --precision fp32 --repeats 1 --min-time 0.3
    measure "$RUN-small" "${WORKLOADS[@]}"
    judge "$RUN-small"
}

probes() {
    plan "$RUN-probes" --size tiny --precision fp64,fp32,tf32,bf16,fp16 --repeats 1 --min-time 0.2
    measure "$RUN-probes" "${WORKLOADS[@]}"
}

workload() {
    plan "$RUN" --size "$SIZE" --precision "$PRECISIONS" --repeats "$REPEATS"
    measure "$RUN" "$1"
}

WORKLOADS=(gan autoencoder lm)
[[ $# -eq 1 ]] || { usage >&2; exit 2; }
PART=$1
case $PART in
    -h | --help) usage; exit 0 ;;
    parity | probes | gan | autoencoder | lm) ;;
    *) refuse "$PART is no part: parity, probes, gan, autoencoder or lm; --help tells more" ;;
esac

FAILED=0
[[ -z ${WHEELS:-} ]] || WHEELS=$(realpath -- "$WHEELS")
PYTHON=${PYTHON:-python3}
[[ $PYTHON != */* ]] || PYTHON=$(realpath --no-symlinks -- "$PYTHON") # a link is what makes it an environment's
[[ -z ${RUN:-} ]] || RUN=$(realpath -m -- "$RUN")
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
IMPLS=${IMPLS:-torch,jax} PLATFORM=${PLATFORM:-cuda} SIZE=${SIZE:-base} REPEATS=${REPEATS:-3} LIMIT=${LIMIT:-450}
PRECISIONS=${PRECISIONS:-fp32,tf32,bf16,fp16}
[[ $LIMIT =~ ^[1-9][0-9]*$ ]] || refuse "LIMIT=$LIMIT: give whole seconds"
[[ -z ${WHEELS:-} || -d $WHEELS ]] || refuse "WHEELS=$WHEELS is no folder"
command -v -- "$PYTHON" >/dev/null || refuse "PYTHON=$PYTHON is not here: name a Python 3.11 or newer"
DEADLINE=$((SECONDS + LIMIT))
SITE=$PWD/build/gpu/site
export PYTHONPATH=$SITE${PYTHONPATH:+:$PYTHONPATH}
export SAMESTEP_CACHE=${SAMESTEP_CACHE:-$PWD/build/gpu/cache}
[[ -z ${WHEELS:-} ]] || carry "$WHEELS"
check_packages
NAME=$PLATFORM
[[ $PLATFORM == cpu ]] || NAME=$(device_name)
RUN=${RUN:-results/gpu-${NAME:-$PLATFORM}-$(date -u +%F)}

case $PART in
    parity) parity ;;
    probes) probes ;;
    *) workload "$PART" ;;
esac
((FAILED == 0)) || echo "gpu-run: $PART: something failed or differs: see above" >&2
exit "$FAILED"
