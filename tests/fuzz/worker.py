"""A process that reads damaged files, so that nothing they do to it harms the tests.

It takes one JSON line per file on its input, [kind, source], and gives one JSON line, [outcome,
detail]. The outcome is "read", "refused", or "fault" with the traceback. It may use 1 GiB of
memory beyond what it needs to start.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import sys
import traceback
import warnings
from pathlib import Path

MEMORY = 2**30


def main() -> None:
    """Serve until the input ends."""
    folder = Path(sys.argv[1])
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "scripts")]
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not to be taken for a reply
    faulthandler.enable()
    warnings.simplefilter("ignore")
    import uses

    place = uses.Place(folder)
    place.warm_up()
    if "checkpoint" in sys.argv[2:]:
        import connectomics.training  # noqa: F401
    _limit_memory()
    print(json.dumps(["ready", ""]), file=replies, flush=True)
    for line in sys.stdin:
        kind, source = json.loads(line)
        try:
            reply = uses.use(kind, source, place)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException:
            reply = ("fault", traceback.format_exc())
        print(json.dumps(reply), file=replies, flush=True)


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    main()
