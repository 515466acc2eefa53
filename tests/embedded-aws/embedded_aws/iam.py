"""IAM on demand: a caller may do what the role of the function of that name allows."""


def denial(call):
    return None
