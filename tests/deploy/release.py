"""usage: release.py WORKFLOW: an image is run before it is pushed, and what is pushed is signed."""

import sys

import yaml

with open(sys.argv[1]) as stream:
    steps = yaml.safe_load(stream)["jobs"]["image"]["steps"]


def places(what):
    return [number for number, step in enumerate(steps) if what(step)]


def builds(how):
    return places(lambda step: "build-push-action" in step.get("uses", "") and step["with"].get(how) is True)


tries = places(lambda step: "tests/tools/try-image.sh" in step.get("run", ""))
signs = places(lambda step: "cosign sign" in step.get("run", ""))
order = [builds("load"), tries, builds("push"), signs]
if [len(each) for each in order] != [1, 1, 1, 1] or order != sorted(order):
    sys.exit(f"the steps of load, try, push and sign are {order}")
arguments = [steps[number]["with"].get("build-args") for (number,) in (order[0], order[2])]
if arguments[0] != arguments[1]:
    sys.exit("the image that is pushed is built of other arguments than the one that was run")
