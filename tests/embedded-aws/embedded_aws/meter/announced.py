"""Compares what was announced about each hand-off with what happened in the world."""

DETAIL_TYPE = "Spot Instance Handed Off"
WENT_WELL = "handed-off"
WITH_LOSSES = "handed-off-with-losses"


def told_last(events):
    """The last announcement about each instance."""
    return {
        event["detail"]["instance-id"]: event["detail"]["outcome"]
        for event in events
        if event["detail-type"] == DETAIL_TYPE
    }


def misreported(warned, went_wrong, told, in_doubt=frozenset()):
    """How many of the warned instances had a wrong announcement, or none.

    A hand-off went wrong if the instance took a task with it, if one of its target groups was
    left without a target, or if its group had too few instances at the end.

    It is in doubt if one of its target groups had no healthy target for a while, but requests were
    answered: by a target that had been taken out and got some more, or by one that had not passed
    a check yet. AWS does not show that, so an announced loss is right there too. An announced
    success is wrong wherever something was lost.
    """
    return sum(_is_wrong(told.get(i), i in went_wrong, i in in_doubt) for i in set(warned))


def _is_wrong(told, went_wrong, in_doubt):
    if told is None:
        return True
    if went_wrong:
        return told == WENT_WELL
    return told != WENT_WELL and not (in_doubt and told == WITH_LOSSES)


def behind(before, names):
    """The instances of the picture `before` that were in one of these target groups."""
    return {
        target.rsplit(":", 1)[0] for name in names for target in before.targets.get(name, ())
    }


def went_wrong(before, after, wanted, dark, cut_on):
    """The instances of the picture `before` with which something went wrong until `after`."""
    wrong = {instance for _, instance in cut_on}
    wrong |= behind(before, dark)
    serving = {}
    for instance in after.instances.values():
        serving[instance.group] = serving.get(instance.group, 0) + instance.in_service
    for id_, instance in before.instances.items():
        if serving.get(instance.group, 0) < wanted[instance.group]:
            wrong.add(id_)
    return wrong
