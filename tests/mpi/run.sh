#!/bin/sh
# Runs a command as ranks under mpirun, on this machine, also as root and on fewer cores than ranks.
#
# usage: run.sh RANKS COMMAND [ARGUMENT...]      run.sh 0 COMMAND...: the command itself, where mpirun is at hand
# HYPERC_HAVE_MPI: FALSE where the library was built without.
# HYPERC_REQUIRE: a list with commas; where it has "mpi", not run is a failure.
# Exit: the command's; 77 not run.
set -u
[ $# -gt 1 ] || { echo "usage: run.sh RANKS COMMAND [ARGUMENT...]" >&2; exit 2; }
ranks=$1
shift

missing=
command -v mpirun >/dev/null || missing="no mpirun"
case ${HYPERC_HAVE_MPI:-ON} in
OFF | FALSE | 0) missing="built without MPI" ;;
esac
if [ -n "$missing" ]; then
    echo "not run: $missing"
    case ,${HYPERC_REQUIRE:-}, in
    *,mpi,*) exit 1 ;;
    esac
    exit 77
fi

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
# MPI keeps memory to its end, and a rank that failed leaves it as it is.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"
[ "$ranks" -gt 0 ] || exec "$@"
exec mpirun -n "$ranks" "$@"
