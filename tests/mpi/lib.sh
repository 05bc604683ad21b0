# shellcheck shell=bash
# Sourced by the tests of the program under mpirun, on top of what those of the program alone share.
# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
here=$here/../cli

# What a rank runs: it says who it is, so that it can be found, and may differ from the others by in_RANK (an input),
# with_RANK (options) and program_RANK.
cat >"$scratch/rank.sh" <<'END'
rank=$OMPI_COMM_WORLD_RANK
echo $$ >"$SCRATCH/pid.$rank"
input=in_$rank
eval "input=\${$input:-\$INPUT}"
with=with_$rank
eval "with=\${$with:-}"
program=program_$rank
eval "program=\${$program:-\$HYPERC}"
# shellcheck disable=SC2086 # options and their values
exec "$program" compress "$input" "$@" $with 2>"$SCRATCH/said.$rank"
END
export SCRATCH="$scratch" HYPERC

# over RANKS OPTION...: compresses $INPUT so, $code is what mpirun ends with; each rank's words are in said.RANK.
over()
{
    local ranks=$1
    shift
    rm -f "$scratch"/said.* "$scratch"/pid.*
    code=0
    timeout -k 5 100 mpirun -n "$ranks" sh "$scratch/rank.sh" "$@" >"$stdout" 2>"$stderr" </dev/null || code=$?
    [ $code -ne 124 ] || fail "$ranks ranks hang"
}

# rank_says RANK TEXT
rank_says()
{
    grep -qF -- "$2" "$scratch/said.$1" || { cat "$scratch"/said.*; fail "rank $1 does not say: $2"; }
}
