"""Two gloo processes with different numbers of rows against one process with all of them."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F

from react_mm.models.losses import InfoNCE, LabelAwareInfoNCE
from react_mm.models.losses.gathering import GatheredRows

COUNTS = (5, 3)


def inputs():
    generator = torch.Generator().manual_seed(0)
    image, text = (torch.randn(8, 6, generator=generator) for _ in range(2))
    return image, text, torch.tensor([0, 1, 0, 2, -1, 1, -1, 0])


def losses(image, text, concept):
    image, text = image.requires_grad_(True), text.requires_grad_(True)
    scale = torch.tensor(5.0, requires_grad=True)
    unit = F.normalize(image, dim=-1), F.normalize(text, dim=-1)
    values = [
        InfoNCE()(*unit, scale),
        LabelAwareInfoNCE()(*unit, scale, concept),
        LabelAwareInfoNCE("ignored")(*unit, scale, concept),
    ]
    sum(values).backward()
    return torch.stack(values).detach(), image.grad, text.grad, scale.grad


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    first = sum(COUNTS[:rank])
    own = [x[first : first + COUNTS[rank]].clone() for x in inputs()]
    torch.save(losses(*own), f"{folder}/{rank}.pt")
    rows = GatheredRows.of(COUNTS[rank] if rank else 0, torch.device("cpu"))  # one has nothing
    assert (rows.total, rows.offset) == (3, 0)
    assert torch.equal(rows.gather(torch.arange(rows.counts[rank])), torch.arange(3))
    dist.destroy_process_group()


@pytest.mark.slow
def test_values_and_gradients_are_those_of_one_process(tmp_path):
    mp.spawn(work, (str(tmp_path),), nprocs=2)
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    value, image, text, scale = losses(*inputs())
    # the mean over processes, as distributed training takes it of the gradients
    torch.testing.assert_close((parts[0][0] + parts[1][0]) / 2, value)
    torch.testing.assert_close((parts[0][3] + parts[1][3]) / 2, scale)
    torch.testing.assert_close(torch.cat([p[1] for p in parts]) / 2, image)
    torch.testing.assert_close(torch.cat([p[2] for p in parts]) / 2, text)
    assert (image.abs().sum(1) > 1e-3).all()


def test_one_process_gathers_nothing():
    rows = GatheredRows.of(4, torch.device("cpu"))
    x = torch.randn(4, 2)
    assert rows.gather(x) is x
    assert (rows.total, rows.offset, rows.share) == (4, 0, 0.25)
    assert GatheredRows.of(0, torch.device("cpu")).share == 1
