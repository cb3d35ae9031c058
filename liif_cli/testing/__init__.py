"""What every encoder, decoder and output format must hold to, for packages that add some.

The suites walk the registries, entry points of installed packages included:

    pip install 'liif-cli[testing]' .
    pytest --pyargs liif_cli.testing -k mine

A part that needs arguments to be small says so in its class attribute ``small``.
"""
