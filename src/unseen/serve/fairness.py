"""In which order waiting jobs run, so that nobody's hundred jobs stand before another's first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def fair_order(
    waiting: Sequence[tuple[str, str]], running: Mapping[str, int], served: Mapping[str, float]
) -> list[str]:
    """Ids of the waiting jobs in the order in which they will run, if nothing else comes.

    Whoever has the fewest jobs running or placed comes next, among those the one served longest ago, then the one that
    came first; each client's own jobs stay in the order in which they came.

    Args:
        waiting: id and client of each waiting job, oldest first.
        running: how many jobs of each client run.
        served: when a job of each client last began.
    """
    queues: dict[str, list[tuple[int, str]]] = {}
    for place, (job, client) in enumerate(waiting):
        queues.setdefault(client, []).append((place, job))
    for queue in queues.values():
        queue.reverse()
    load = {client: running.get(client, 0) for client in queues}
    order = []
    while queues:
        client = min(queues, key=lambda c: (load[c], served.get(c, 0.0), queues[c][-1][0]))
        order.append(queues[client].pop()[1])
        load[client] += 1
        if not queues[client]:
            del queues[client]
    return order
