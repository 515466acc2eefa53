"""How this package changes moto: one decorator, so that every change can be found by name."""


def replaces(cls):
    """Puts the function into `cls` under its own name, whether moto had one or not.

    moto finds an action's handler by the method name on the service's response class, so a
    new method there is a new action.
    """

    def put(function):
        setattr(cls, function.__name__, function)
        return function

    return put
