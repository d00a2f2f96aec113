"""Runs as OpenTelemetry traces, and the agent's own spans for the judge.

``setup`` turns it on, ``run_trace`` makes the spans of a run from its journal, ``collector`` keeps what agents did in
the runs that are going on, ``receiver`` takes in spans of agents in other processes. Importing this package loads
nothing of OpenTelemetry; nothing leaves the process unless an exporter was given.
"""
