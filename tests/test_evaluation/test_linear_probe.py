"""Linear probes against scipy's optimum of the same loss, and against limits known by thought."""

import numpy as np
import pytest
import scipy.optimize
import torch
import torch.nn.functional as F

from react_mm.evaluation.linear_probe import (
    LinearClassifier,
    accuracy,
    average_classifiers,
    choose_strength,
    fit_linear_probe,
    fit_real_probe,
    zero_shot_classifier,
)

N, D, C, SCALE = 60, 7, 4, 20.0


@pytest.fixture
def world():
    generator = torch.Generator().manual_seed(0)
    centres = F.normalize(torch.randn(C, D, generator=generator), dim=-1)
    labels = torch.randint(0, C, (N,), generator=generator)
    features = centres[labels] + 0.6 * torch.randn(N, D, generator=generator)
    text = F.normalize(centres + 0.8 * torch.randn(C, D, generator=generator), dim=-1)
    return features, labels, text


def numpy_objective(flat, x, y, origin, strength, many=False):
    """The same loss written without torch: change in logits, penalty on it."""
    change, bias = flat[: C * D].reshape(C, D), flat[C * D :]
    logits = SCALE * x @ origin.T + x @ change.T + bias
    if many:
        loss = np.mean(np.sum(np.logaddexp(0, logits) - y * logits, 1))
    else:
        loss = np.mean(scipy.special.logsumexp(logits, 1) - logits[np.arange(len(y)), y])
    return loss + strength / 2 * np.square(change).sum()


@pytest.mark.parametrize("language", [False, True])
@pytest.mark.parametrize("many", [False, True])
def test_reaches_scipys_optimum(world, language, many):
    features, labels, text = world
    if many:
        labels = F.one_hot(labels, C).to(torch.uint8)
        labels[::3, 0] = 1
    start = zero_shot_classifier(text, SCALE) if language else None
    got = fit_linear_probe(features, labels, C, 0.01, start, scale=SCALE)
    x = F.normalize(features.double(), dim=-1).numpy()
    origin = text.double().numpy() if language else np.zeros((C, D))
    arguments = (x, labels.numpy().astype(float if many else int), origin, 0.01, many)
    best = scipy.optimize.minimize(numpy_objective, np.zeros(C * D + C), arguments, tol=1e-12)
    ours = np.concatenate(
        [(SCALE * (got.weight.double().numpy() - origin)).ravel(), SCALE * got.bias.numpy()]
    )
    assert numpy_objective(ours, *arguments) <= best.fun + 1e-6
    np.testing.assert_allclose(got(features).softmax(-1).sum(-1), 1, atol=1e-5)


def test_a_strong_pull_leaves_the_class_embeddings_and_a_weak_one_fits(world):
    features, labels, text = world
    start = zero_shot_classifier(text, SCALE)
    stiff = fit_linear_probe(features, labels, C, 1e6, start)
    torch.testing.assert_close(stiff.weight, text, atol=1e-4, rtol=0)
    loose = fit_linear_probe(features, labels, C, 1e-6, start)
    assert accuracy(loose, features, labels) > accuracy(start, features, labels)
    cold = fit_linear_probe(features, labels, C, 1e6, scale=SCALE)
    assert cold.weight.abs().max() < 1e-3  # pulled to zero


def test_zero_shot_classifier_scores_cosines(world):
    features, labels, text = world
    logits = zero_shot_classifier(text, 100.0)(features)
    expected = 100 * F.cosine_similarity(features[:, None], text[None], dim=-1)
    torch.testing.assert_close(logits, expected)


def test_the_best_validation_score_wins_and_ties_go_to_the_stronger_pull():
    def classifier(strength):
        return LinearClassifier(torch.zeros(1, 1), torch.zeros(1), 1.0, strength)

    scores = {0.1: 0.5, 1.0: 0.7, 10.0: 0.7}
    best = choose_strength(classifier, lambda c: scores[c.strength], list(scores))
    assert best.strength == 10.0
    with pytest.raises(ValueError, match="no strengths"):
        choose_strength(classifier, lambda c: 0.0, [])


def test_real_is_the_average_of_probe_and_zero_shot(world):
    features, labels, text = world
    ensemble, probe = fit_real_probe(
        features, labels, text, SCALE, validation=(features, labels), strengths=(1e-4, 1.0)
    )
    torch.testing.assert_close(ensemble.weight, (probe.weight + text) / 2)
    torch.testing.assert_close(ensemble.bias, probe.bias / 2)
    assert accuracy(ensemble, features, labels) > accuracy(
        zero_shot_classifier(text, SCALE), features, labels
    )
    _, single = fit_real_probe(features, labels, text, SCALE, cross_modal=False, strengths=(1.0,))
    direct = fit_linear_probe(features, labels, C, 1.0, zero_shot_classifier(text, SCALE))
    torch.testing.assert_close(single.weight, direct.weight)
    whole = average_classifiers(probe, zero_shot_classifier(text, SCALE), share=1.0)
    torch.testing.assert_close(whole.weight, probe.weight)


def test_what_does_not_fit_is_refused(world):
    features, labels, _ = world
    for arguments, message in (
        ((features, labels, C, 0.0), "must be positive"),
        ((features[:5], labels, C, 1.0), "5 features with 60 labels"),
        ((features, labels, 2, 1.0), "labels lie in"),
        ((features, torch.zeros(N, 3), C, 1.0), "3 columns for 4 classes"),
    ):
        with pytest.raises(ValueError, match=message):
            fit_linear_probe(*arguments)
    other = LinearClassifier(torch.zeros(C, D), torch.zeros(C), 1.0)
    with pytest.raises(ValueError, match="one size and temperature"):
        average_classifiers(other, LinearClassifier(torch.zeros(C, D), torch.zeros(C), 2.0))


@pytest.mark.gpu
def test_fits_on_the_device_as_on_the_cpu(world):
    features, labels, text = world
    start = zero_shot_classifier(text, SCALE)
    here = fit_linear_probe(features, labels, C, 0.01, start)
    there = fit_linear_probe(
        features.cuda(), labels.cuda(), C, 0.01, zero_shot_classifier(text.cuda(), SCALE)
    )
    torch.testing.assert_close(there.weight.cpu(), here.weight, atol=1e-4, rtol=1e-3)
    ensemble, _ = fit_real_probe(
        features.cuda(), labels.cuda(), text.cuda(), SCALE, (features.cuda(), labels.cuda())
    )
    assert ensemble(features.cuda()).is_cuda
