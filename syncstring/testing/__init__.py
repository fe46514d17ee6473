"""The harness that we hold ourselves to, shipped for whoever builds on us.

`reference` is the slow twin; import what you need from its module, nothing is re-exported here, so
that reading the twin needs nothing compiled and nothing but `strategies` needs Hypothesis.
"""
