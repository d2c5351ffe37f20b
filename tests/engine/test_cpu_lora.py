"""Every token gets its own adapter's product."""

import torch
from hypothesis import given
from hypothesis import strategies as st

SLOTS = st.lists(st.integers(-1, 3), min_size=1, max_size=12)
RANK, WIDTHS, INPUT = 2, (3, 4), 5


@given(SLOTS)
def test_the_groups_hold_every_row_with_an_adapter_once(adapters: list[int]) -> None:
    # Imported here and below: importing vLLM would slow down test collection by seconds.
    from app.engine.cpu_lora import group_rows

    rows = torch.arange(len(adapters))
    grouped = {(slot, int(row)) for slot, some in group_rows(adapters) for row in rows[some]}
    assert grouped == {(slot, row) for row, slot in enumerate(adapters) if slot >= 0}
    assert sum(len(rows[some]) for _, some in group_rows(adapters)) == len(grouped)


@given(SLOTS)
def test_each_row_gets_the_product_of_its_own_adapter(adapters: list[int]) -> None:
    from app.engine.cpu_lora import GroupedLora, group_rows

    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    x, y = draw(len(adapters), INPUT), draw(len(adapters), sum(WIDTHS))
    a = tuple(draw(4, 1, RANK, INPUT) for _ in WIDTHS)
    b = tuple(draw(4, 1, width, RANK) for width in WIDTHS)
    expected = y.clone()
    for row, slot in enumerate(adapters):
        if slot >= 0:
            parts = [b_i[slot, 0] @ (a_i[slot, 0] @ x[row]) for a_i, b_i in zip(a, b, strict=True)]
            expected[row] += torch.cat(parts)
    lora = GroupedLora(64, 64, "cpu")
    lora._groups = group_rows(adapters)
    lora.add_lora_linear(y, x, a, b, 1.0, WIDTHS)
    torch.testing.assert_close(y, expected)
