# SPDX-License-Identifier: Apache-2.0
"""Decisions: pure functions from a model and what is measured to a plan. No I/O, no clock: time is an
argument, in seconds of the controller's monotonic clock.

    aggregates   aggregates(model, wiring): all that is to be steered
    decide       decide(model, wiring, aggregates, measured, before, drained, now) -> Plan
    plan         Plan and what it is made of, with the reasons for what was not chosen
    buckets      fresh(shares, seed_name), rebalance(buckets, shares, now, lifetime, dead), shares_of(buckets)
    next_hops    NextHops(wiring, down): to(node, dst), protection(node, port)

    bounds       what labels and policies permit
    routes       Routes(wiring, down): candidates, shortest, obstacle; routes_of remembers each topology's
    constraints  a predicate for each constraint
    permitted    who may answer, by which ways
    ways         which of these is taken
    estimate     what a choice is believed to cost
    demand       what aggregates ask for
    pace         how long requests take at each server
    balance      what is known of a service's servers, and what is believed of the rest
    assignment   the shares of least latency
    shares       how they are approached; and what DIN is compared with
"""
