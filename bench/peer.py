"""The named peers of the benchmarks: the same work in Python, on the same libtorch or on the same FAISS index file. Prints seconds as JSON, one list of timings.

usage: peer.py matmul|gpt2-step|encode|contrastive-step|faiss-search THREADS REPEATS [FOLDER]
"""
import json, os, sys, time

what, threads, repeats = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if what != "faiss-search":
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)


def timed(body, warm=2):
    for _ in range(warm):
        body()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        body()
        times.append(time.perf_counter() - start)
    return times


if what == "matmul":
    a, b = torch.randn(2048, 768), torch.randn(768, 3072)
    times = timed(lambda: a.mm(b))
elif what == "faiss-search":
    import faiss, numpy

    asked = json.load(sys.stdin)
    faiss.omp_set_num_threads(threads)
    print(f"Python: faiss {faiss.__version__}, {threads} threads", file=sys.stderr)
    index = faiss.read_index(os.path.join(sys.argv[4], "index.faiss"))
    if asked["search"]:
        faiss.ParameterSpace().set_index_parameters(index, asked["search"])
    queries = numpy.load(os.path.join(sys.argv[4], "queries.npy"))
    times = timed(lambda: index.search(queries, asked["k"]))
elif what == "gpt2-step":
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(n_layer=6, attn_implementation="sdpa")).train()
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    optimiser = torch.optim.AdamW([{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}], lr=1e-4, fused=True)
    ids = torch.randint(0, 50257, (4, 170))
    positions = torch.arange(160, 170)

    def step():
        optimiser.zero_grad()
        hidden = model.transformer(input_ids=ids).last_hidden_state[:, positions - 1]
        loss = torch.nn.functional.cross_entropy(model.lm_head(hidden).flatten(0, 1), ids[:, positions].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    times = timed(step)
else:
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(sys.argv[4], device="cpu")
    texts = json.load(sys.stdin)
    if what == "encode":
        times = timed(lambda: encoder.encode(texts, batch_size=32, show_progress_bar=False), warm=1)
    else:
        encoder.train()
        optimiser = torch.optim.AdamW(encoder.parameters(), lr=2e-5, fused=True)
        half = len(texts) // 2

        def features(part):
            batch = encoder.tokenize(part)
            return torch.nn.functional.normalize(encoder(batch)["sentence_embedding"], dim=1)

        def step():
            optimiser.zero_grad()
            scores = features(texts[:half]) @ features(texts[half:]).T / 0.05
            torch.nn.functional.cross_entropy(scores, torch.arange(half)).backward()
            torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
            optimiser.step()

        times = timed(step)
print(json.dumps(times))
