"""Communicators: what a training asks of the processes that it is shared by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evengrad._common.arrays import Array

# What elements of several ranks are combined by.
OPERATIONS = ("sum", "max")


class DistributedError(RuntimeError):
    """Ranks that train together have lost each other, or differ where they must not.

    Raised where another rank has raised an error, does not answer within the deadline, was started
    by another MPI than the one that is loaded, or trains something else.

    Examples
    --------
    >>> issubclass(eg.distributed.DistributedError, RuntimeError)
    True
    """


class Communicator:
    """The processes that train together, called ranks: this class itself stands for a single one.

    `init` makes it. All ranks make the same calls in the same order; each call waits for the
    others, at most for the deadline that `init` was given.

    Attributes
    ----------
    rank
        The number of this process, from 0.
    size
        How many there are.

    References
    ----------
    Message Passing Interface Forum, "MPI: A Message-Passing Interface Standard", 4.1, 2023,
    chapter 6.

    Examples
    --------
    >>> comm = eg.distributed.Communicator()
    >>> comm.rank, comm.size, comm.gather("here")
    (0, 1, ['here'])
    """

    rank = 0
    size = 1

    def all_reduce(self, values: Array, operation: str = "sum") -> None:
        """Combine the arrays of all ranks element by element, in place.

        Every rank gets the same bits.

        Parameters
        ----------
        values
            A contiguous array that can be written, of the same shape and dtype on all ranks.
        operation
            ``"sum"`` or ``"max"``.

        Raises
        ------
        ValueError
            An unknown operation, or an array with gaps or that cannot be written.
        DistributedError
            A rank failed, or did not answer in time.

        Examples
        --------
        >>> values = np.array([1.0, 2.0])
        >>> eg.distributed.Communicator().all_reduce(values)
        >>> values.tolist()
        [1.0, 2.0]
        """
        if operation not in OPERATIONS:
            raise ValueError(f"operation: expected 'sum' or 'max', got {operation!r}")
        if not (values.flags.c_contiguous and values.flags.writeable):
            raise ValueError("values: expected an array without gaps that can be written")

    def broadcast(self, value: Any) -> Any:
        """Return rank 0's value on every rank.

        Parameters
        ----------
        value
            What rank 0 gives, anything that pickle takes; what others give is not looked at.

        Raises
        ------
        DistributedError
            A rank failed, or did not answer in time.

        Examples
        --------
        >>> eg.distributed.Communicator().broadcast({"rate": 0.1})
        {'rate': 0.1}
        """
        return value

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks, in their order, on every rank.

        Parameters
        ----------
        value
            Anything that pickle takes.

        Raises
        ------
        DistributedError
            A rank failed, or did not answer in time.

        Examples
        --------
        >>> eg.distributed.Communicator().gather(3)
        [3]
        """
        return [value]

    def abort(self, code: int = 1) -> None:
        """End all ranks at once, and the launcher with that exit status.

        For a single process nothing is there to end, and nothing happens.

        Examples
        --------
        >>> eg.distributed.Communicator().abort()
        """

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of rank {self.rank} of {self.size}>"
