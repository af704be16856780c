"""The dataflow engine: typed ports, bounded edges, supervised nodes. Knows nothing of speech."""

from streamer.graph.channel import Channel, ChannelStats
from streamer.graph.engine import Engine, Report
from streamer.graph.node import Context, Format, Node, NodeConfig, Source
from streamer.graph.plan import Edge, GraphPlan, NodePlan, Policy, QueueSpec, RestartSpec
from streamer.graph.ports import In, Out, PortSpec
from streamer.graph.resources import Resources

__all__ = [
    "Channel",
    "ChannelStats",
    "Context",
    "Edge",
    "Engine",
    "Format",
    "GraphPlan",
    "In",
    "Node",
    "NodeConfig",
    "NodePlan",
    "Out",
    "Policy",
    "PortSpec",
    "QueueSpec",
    "Report",
    "Resources",
    "RestartSpec",
    "Source",
]
