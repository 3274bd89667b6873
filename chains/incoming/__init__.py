"""Events that come in, from outside and from workflows, and the workflows that they start.

An event is stored and committed first. Then, in a new transaction, the triggers of its owner are
looked for, and what each of them says is recorded once. Then each workflow is started in a
transaction of its own. Whoever stores an event does all three at once; what it does not come to is
done by the reconciler. The idempotency key of a start is that of its event and trigger.
"""
