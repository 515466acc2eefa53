"""What was announced of each hand-off, held against what the world saw."""

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
    """How many of the warned instances were announced otherwise than it went, or not at all.

    It went wrong where the instance took a task along, a target group that it was in was left
    without a target, or its group had too few instances at the end.

    It is in doubt where a target group that it was in had no healthy target for a while, and the
    requests were answered all the same: by one that had been taken out and got some more, or by
    one that had not passed a check yet. AWS tells nobody of that, so to speak of a loss is right
    as well there. To speak of none is wrong wherever there was one.
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
