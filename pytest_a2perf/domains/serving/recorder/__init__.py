"""The recorder: a proxy that turns the traffic of live agents into sessions."""
