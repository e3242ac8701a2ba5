"""Policies: what may be built, deployed and run. Pure: policies and objects in, violations out.

Used by Central, Sensor and the admission controller alike. It must not know of a network, a database or a cluster.
"""

from redoubt.policies.compiling import ImagePart, Violation
from redoubt.policies.evaluation import Broken, PolicySet, Refused, Unanswered, Verdict
from redoubt.policies.policy import Policy

__all__ = ["Broken", "ImagePart", "Policy", "PolicySet", "Refused", "Unanswered", "Verdict", "Violation"]
