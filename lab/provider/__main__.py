"""Start the stand-in: `python -m lab.provider [address of the engine]`."""

from lab.provider import stubs


def main() -> None:
    """Serve until the engine ends this process."""
    stubs.load()  # before anything looks for the SDK
    import asyncio  # noqa: PLC0415

    from lab.provider.server import serve  # noqa: PLC0415

    asyncio.run(serve())


if __name__ == "__main__":
    main()
