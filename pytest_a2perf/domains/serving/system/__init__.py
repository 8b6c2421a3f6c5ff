"""The system under test: what it is, what it draws, and figures per accelerator, kW and dollar."""
