"""What schemathesis is told of this service; loaded by it, through SCHEMATHESIS_HOOKS."""
import schemathesis

PATIENCE = 30  # seconds


UPLOADS = ("/v1/classify", "/v1/mask", "/v1/filter", "/v1/analyze", "/v1/estimates/{id}/samples")


@schemathesis.hook
def filter_case(context, case):
    """A header that the description does not know is no violation of it: RFC 9110 5.1 has servers ignore those.  And where
    photos go, PUT is the same as POST (for curl -T), and is left out of the description: clients need one of them."""
    twin = case.method in ("PUT", "OPTIONS") and case.operation.path in UPLOADS
    return not twin and "x-schemathesis-unknown-property" not in (case.headers or {})


@schemathesis.hook
def before_call(context, case, kwargs):
    """Who asks for an answer within a millisecond is rightly told 504, which a search for server errors would count:
    valid deadlines (wrong ones stay as they are) become long ones.  test_routes.py and test_async.py test the short."""
    for name in list(case.headers or {}):
        if name.lower() == "x-request-timeout":
            try:
                if 0.001 <= float(case.headers[name]) < PATIENCE:
                    case.headers[name] = str(PATIENCE)
            except ValueError:
                pass
