# shellcheck shell=bash
# Sourced by scripts/bench-*.sh, from the project's root: builds our side, sets the peer up, finds
# the data. Both sides get two threads unless THREADS says otherwise.

say() { echo "bench: $*" >&2; }

root=$PWD
work=$root/target/bench
mkdir -p "$work"

# The data set: DATA, or the blood cells.
data=${DATA:-../shared/data/bccd}
if [ ! -d "$data/images/train" ]; then
  say "no data set at $data: set DATA to a folder with images/{train,val} and labels/{train,val}"
  exit 2
fi

"$root/scripts/peer-venv.sh"
# shellcheck source=scripts/release-flags.sh
. scripts/release-flags.sh
say "building"
cargo build --release --locked --quiet -p ytrain --bin ytrain --example bench
export LD_LIBRARY_PATH=$root/.libtorch/lib

ours=$root/target/release/examples/bench
ytrain=$root/target/release/ytrain
peer="$root/target/peer-venv/bin/python $root/scripts/bench"
compare=(python3 "$root/scripts/bench/compare.py")

# The peer takes one thread unless this is set, and asks the network for nothing then.
export OMP_NUM_THREADS=${THREADS:-2}
export YOLO_CONFIG_DIR=$work/peer YOLO_OFFLINE=true YOLO_AUTOINSTALL=false
mkdir -p "$YOLO_CONFIG_DIR"

# subset NAME TRAIN VAL: a copy of the first so many pictures of each split, with a description
# whose path is absolute, as the peer wants it. Prints the description's path. The peer writes into
# the folders that it reads, so it never gets the originals.
subset() {
  local folder=$work/data-$1 split count
  if [ ! -e "$folder/data.yaml" ]; then
    for split in train val; do
      if [ "$split" = train ]; then count=$2; else count=$3; fi
      mkdir -p "$folder/images/$split" "$folder/labels/$split"
      # shellcheck disable=SC2012
      ls "$data/images/$split" | sort | head -n "$count" | while read -r name; do
        cp "$data/images/$split/$name" "$folder/images/$split/"
        cp "$data/labels/$split/${name%.*}.txt" "$folder/labels/$split/"
      done
    done
    sed "s|^path:.*|path: $folder|" "$data/data.yaml" | grep -v '^test:' >"$folder/data.yaml"
  fi
  echo "$folder/data.yaml"
}
