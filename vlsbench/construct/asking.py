"""Who is asked: every model of a configuration, all at once, and what of it goes into the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from vlsbench.construct.chains import Call, ChatCall, ImageCall
from vlsbench.construct.chat import ChatModel, Purse, split_by_model
from vlsbench.construct.config import Config, Plan
from vlsbench.construct.images import ImageMaker, open_maker, recover
from vlsbench.construct.journal import Arrived, Journal
from vlsbench.construct.safeguards import Safeguards
from vlsbench.endpoint import Writer, run_to_end
from vlsbench.errors import DataError

__all__ = ["AskJournal", "AsksModels", "Models", "OpenModels", "Write", "open_models"]

Write = Callable[[Sequence[Arrived]], None]


class AsksModels(Protocol):
    """Asks the models of a run: here (`Models`), or somewhere else."""

    def ask(self, calls: Sequence[Call], write: Write) -> None:
        """Ask everything at once and pass what comes to `write`; what does not come is not passed.

        Raises:
            VLSBenchError: What no call can change: a wrong key, an endpoint that is down, a limit of cost.
        """


OpenModels = Callable[[Plan, Purse], AsksModels]


def open_models(plan: Plan, purse: Purse) -> Models:
    """Open the models of a plan in this process."""
    return Models(plan.config, plan.path.parent, plan.safeguards, purse)


class AskJournal:
    """Asks, and puts what comes into a journal; see `vlsbench.construct.chains.Ask`.

    Args:
        journal: Of the run.
        models: Who asks.
        image_price: Of an image that an earlier run left without a line.
    """

    def __init__(self, journal: Journal, models: AsksModels, image_price: float | None) -> None:
        self.models = models
        self._journal = journal
        self._image_price = image_price

    def __call__(self, calls: Sequence[Call]) -> None:
        """Ask what the journal lacks."""
        images = [call for call in calls if isinstance(call, ImageCall)]
        self._journal.append(recover(self._journal, images, self._image_price))
        self.models.ask([call for call in calls if call.key not in self._journal], self._journal.append)


class Models:
    """The models of a run. Opened where they are first asked: a run that has all its replies needs no key.

    Args:
        config: Of the run.
        root: Folder that its paths are relative to.
        safeguards: Of the run.
        purse: What everything is paid from.
    """

    def __init__(self, config: Config, root: Path, safeguards: Safeguards, purse: Purse) -> None:
        self._config = config
        self._root = root
        self._safeguards = safeguards
        self._purse = purse
        self._chat: dict[str, ChatModel] = {}
        self._answered: set[str] = set()
        self._maker: ImageMaker | None = None

    @property
    def n_retries(self) -> int:
        """Questions that were sent once more."""
        return sum(model.meter.n_retries for model in self._chat.values())

    def ask(self, calls: Sequence[Call], write: Write) -> None:
        """Ask everything at once; see `AsksModels`."""
        run_to_end(self._ask_all(calls, write))

    async def _ask_all(self, calls: Sequence[Call], write: Write) -> None:
        chats = [call for call in calls if isinstance(call, ChatCall)]
        images = [call for call in calls if isinstance(call, ImageCall)]
        with Writer(write) as writer:
            tasks = [
                asyncio.create_task(self._ask_chat(name, of_model, writer))
                for name, of_model in split_by_model(chats).items()
            ]
            if images:
                tasks.append(asyncio.create_task(self._open_maker().make(images, writer.put)))
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _open_maker(self) -> ImageMaker:
        image = self._config.image
        if image is None:
            raise DataError("[image] is absent, and an image is wanted.")
        if self._maker is None:
            self._maker = open_maker(image, self._root, self._purse)
        return self._maker

    async def _ask_chat(self, name: str, calls: Sequence[ChatCall], writer: Writer[Arrived]) -> None:
        if name not in self._chat:
            config = self._config.models[name]  # type: ignore[index]  # a name of the configuration
            self._chat[name] = ChatModel(name, config, self._purse, self._safeguards)
        run = self._chat[name].start(writer.put)
        # Neighbours share an image, which is then read and encoded once.
        await run.ask_all(sorted(calls, key=lambda call: (str(call.picture or ""), call.item, call.step)))
        if run.n_finished > run.n_unreachable:
            self._answered.add(name)
        if name not in self._answered:
            run.report()
        if run.broken:
            raise DataError(f"images cannot be sent: {next(iter(run.broken.values()))}")
