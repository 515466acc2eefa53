"""Compares what was announced about each hand-off with what happened in the world."""

DETAIL_TYPE = "Spot Instance Handed Off"
WENT_WELL = "handed-off"


def told_last(events):
    """The last announcement about each instance."""
    return {
        event["detail"]["instance-id"]: event["detail"]["outcome"]
        for event in events
        if event["detail-type"] == DETAIL_TYPE
    }


def misreported(warned, went_wrong, told):
    """How many of the warned instances had a wrong announcement, or none.

    A hand-off went wrong if the instance took a task with it, if one of its target groups was
    left without a target, or if its group had too few instances at the end.
    """
    return sum(
        instance not in told or (told[instance] == WENT_WELL) == (instance in went_wrong)
        for instance in set(warned)
    )


def went_wrong(before, after, wanted, dark, cut_on):
    """The instances of the picture `before` with which something went wrong until `after`."""
    wrong = {instance for _, instance in cut_on}
    for name, targets in before.targets.items():
        if name in dark:
            wrong |= {target.rsplit(":", 1)[0] for target in targets}
    serving = {}
    for instance in after.instances.values():
        serving[instance.group] = serving.get(instance.group, 0) + instance.in_service
    for id_, instance in before.instances.items():
        if serving.get(instance.group, 0) < wanted[instance.group]:
            wrong.add(id_)
    return wrong
