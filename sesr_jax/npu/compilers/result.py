"""What a vendor's compiler says of a model, whichever compiler it was."""

import dataclasses

from sesr_jax.report import format_table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator of the compiled model.

    Attributes:
      name: the name of the tensor that it writes.
      op: the compiler's name for it.
      cycles: what it takes: the most of the three below, or our estimate where it runs on the host.
      compute_cycles: the cycles of the NPU's engines.
      sram_cycles: the cycles of its on-chip memory.
      dram_cycles: the cycles of the memory off the chip.
      dram_bytes: the traffic in both directions; 0 where the compiler gives none for an operator.
      host: whether it falls to the host's CPU. The compiler counts nothing for it.
      reason: why it falls to the host.
    """

    name: str
    op: str
    cycles: float
    compute_cycles: float = 0
    sram_cycles: float = 0
    dram_cycles: float = 0
    dram_bytes: int = 0
    host: bool = False
    reason: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compilation:
    """A model as a vendor's compiler sees it.

    Attributes:
      compiler: its name.
      target: the name of our target.
      clock_hz: the clock of the cycles.
      operators: in the order in which they run.
      seconds: the time of one frame, by the compiler.
      host_seconds: what we add for the operators on the host: the time in which their tensors cross
        the DRAM's bus.
      dram_bytes: the traffic in both directions, by the compiler.
      sram_bytes: the on-chip memory in use, by the compiler; 0 where it does not say.
    """

    compiler: str
    target: str
    clock_hz: float
    operators: tuple[Operator, ...]
    seconds: float
    host_seconds: float
    dram_bytes: int
    sram_bytes: int

    @property
    def on_host(self) -> tuple[Operator, ...]:
        """The operators that the NPU does not run."""
        return tuple(operator for operator in self.operators if operator.host)

    def to_text(self) -> str:
        """Returns a table of the operators, the totals, and what falls to the host."""
        rows = [
            [
                operator.name,
                operator.op,
                f"{operator.cycles / self.clock_hz * 1e3:.4f}",
                *(
                    f"{cycles / 1e6:.4f}"
                    for cycles in (
                        operator.compute_cycles,
                        operator.sram_cycles,
                        operator.dram_cycles,
                    )
                ),
                "host" if operator.host else "",
            ]
            for operator in self.operators
        ]
        header = ["operator", "op", "ms", "NPU Mcycles", "SRAM", "DRAM", ""]
        lines = [
            format_table(rows, header, "<<>>>><"),
            f"{self.compiler} for {self.target}: {self.seconds * 1e3:.3f} ms, "
            f"{self.dram_bytes / 1e6:.2f} MB DRAM, {self.sram_bytes / 1024:.0f} KiB SRAM",
        ]
        if self.on_host:
            total = self.seconds + self.host_seconds
            lines += [
                f"ON THE HOST: {operator.name} ({operator.op}): {operator.reason or 'unsupported'}"
                for operator in self.on_host
            ]
            lines.append(
                f"with {self.host_seconds * 1e3:.3f} ms of ours for the host's traffic, which "
                f"{self.compiler} counts as nothing: {total * 1e3:.3f} ms"
            )
        return "\n".join(lines) + "\n"
