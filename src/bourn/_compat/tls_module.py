"""`tls`: the module that has SSLContext here, `ssl` (CPython) or `tls` (MicroPython), where there is either."""

try:
    import ssl as tls

    if not hasattr(tls, "SSLWantReadError"):  # MicroPython's is a file around its `tls`, which some builds leave out
        import tls
except ImportError:
    try:
        import tls
    except ImportError:
        raise ImportError("this interpreter has neither `ssl` nor `tls`: no TLS here, and plain text is no substitute")

if not hasattr(tls, "CERT_REQUIRED"):
    raise ImportError("the TLS of this firmware (axTLS, as on an ESP8266) verifies nobody: no TLS here")

__all__ = ("tls",)
