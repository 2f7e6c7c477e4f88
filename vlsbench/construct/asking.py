"""Who is asked: every model of a configuration, all at once, into one journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from vlsbench.construct.chains import Call, ChatCall, ImageCall
from vlsbench.construct.chat import ChatModel, Purse, split_by_model
from vlsbench.construct.config import Plan
from vlsbench.construct.images import ImageMaker, open_maker, recover
from vlsbench.construct.journal import Arrived, Journal
from vlsbench.endpoint import Writer
from vlsbench.errors import DataError

if TYPE_CHECKING:
    import httpx2

__all__ = ["Models"]


class Models:
    """The models of a run. Opened where they are first asked: a run that has all its replies needs no key.

    Args:
        plan: Of the run.
        journal: Where replies go.
        purse: What everything is paid from.
        http_client: The SDK's transport; it stays open. For tests.
    """

    def __init__(
        self, plan: Plan, journal: Journal, purse: Purse, *, http_client: httpx2.AsyncClient | None = None
    ) -> None:
        self._plan = plan
        self._journal = journal
        self.purse = purse
        self._http_client = http_client
        self._chat: dict[str, ChatModel] = {}
        self._answered: set[str] = set()
        self._maker: ImageMaker | None = None
        self.on_arrival: Callable[[int], None] = lambda n: None
        """Told how many replies are on disk, a batch at a time."""

    def ask(self, calls: Sequence[Call]) -> None:
        """Ask everything at once and put what comes into the journal; see `vlsbench.construct.chains.Ask`.

        Raises:
            VLSBenchError: What no call can change: a wrong key, an endpoint that is down, a limit of cost.
        """
        chats = [call for call in calls if isinstance(call, ChatCall)]
        images = [call for call in calls if isinstance(call, ImageCall)]
        image = self._plan.config.image
        if images:
            self._journal.append(recover(self._journal, images, None if image is None else image.price))
            images = [call for call in images if call.key not in self._journal]
        asyncio.run(self._ask_all(chats, images))

    async def _ask_all(self, chats: Sequence[ChatCall], images: Sequence[ImageCall]) -> None:
        def write(arrived: Sequence[Arrived]) -> None:
            self._journal.append(arrived)
            self.on_arrival(len(arrived))

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
        image = self._plan.config.image
        if image is None:
            raise DataError(f"{self._plan.path}: [image] is absent, and an image is wanted.")
        if self._maker is None:
            self._maker = open_maker(image, self._plan.path.parent, self.purse, http_client=self._http_client)
        return self._maker

    async def _ask_chat(self, name: str, calls: Sequence[ChatCall], writer: Writer[Arrived]) -> None:
        if name not in self._chat:
            config = self._plan.config.models[name]  # type: ignore[index]  # a name of the configuration
            self._chat[name] = ChatModel(name, config, self.purse, self._plan.safeguards, http_client=self._http_client)
        run = self._chat[name].start(writer.put)
        # Neighbours share an image, which is then read and encoded once.
        await run.ask_all(sorted(calls, key=lambda call: (str(call.picture or ""), call.item, call.step)))
        if run.n_finished > run.n_unreachable:
            self._answered.add(name)
        if name not in self._answered:
            run.report()
        if run.broken:
            raise DataError(f"images cannot be sent: {next(iter(run.broken.values()))}")
