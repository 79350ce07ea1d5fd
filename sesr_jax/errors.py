"""The one exception for what a user can put right."""


class InputError(ValueError):
    """Bad input, told in one sentence: the value, the rule that it breaks and the remedy.

    The library raises it for whatever a caller can mend (a corrupt image, an unknown model, a wrong
    scale); the command line prints it without a traceback and exits with status 2. Anything else that
    escapes is a defect of this package.
    """
