"""The peer of the retrieval experiments: a retriever fine-tuned by sentence-transformers' own trainer, with MultipleNegativesRankingLoss and its defaults except what is named, on the pairs or tuples that `tandem mine` writes.

usage: train-sentence-transformers.py PAIRS.jsonl MODEL OUTPUT [--epochs 1] [--rate 2e-5] [--batch 32] [--seed 0] [--threads 1] [--warmup 0.1] [--bf16]

The columns of PAIRS.jsonl are its anchors, positives and negatives, in that order. OUTPUT is a folder that Tandem opens: retriever.path=OUTPUT with a schedule of one refresh scores it as any retriever is scored.
"""
import argparse, json, os, resource, time

options = argparse.ArgumentParser()
for name in ("pairs", "model", "output"):
    options.add_argument(name)
for name, value in (("epochs", 1.0), ("rate", 2e-5), ("warmup", 0.1)):
    options.add_argument(f"--{name}", type=float, default=value)
for name, value in (("batch", 32), ("seed", 0), ("threads", 1)):
    options.add_argument(f"--{name}", type=int, default=value)
options.add_argument("--bf16", action="store_true", help="autocast, as Tandem's precision=bf16")
given = options.parse_args()
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false", WANDB_DISABLED="true")

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.losses import MultipleNegativesRankingLoss
from sentence_transformers.training_args import BatchSamplers

torch.set_num_threads(given.threads)
with open(given.pairs, encoding="utf-8") as file:
    rows = [json.loads(line) for line in file]
# Only columns that every row has can be trained on.
columns = [name for name in rows[0] if all(isinstance(row.get(name), str) for row in rows)]
data = Dataset.from_list([{name: row[name] for name in columns} for row in rows])
model = SentenceTransformer(given.model, device="cpu")
arguments = SentenceTransformerTrainingArguments(
    output_dir=os.path.join(given.output, "trainer"),
    num_train_epochs=given.epochs,
    per_device_train_batch_size=given.batch,
    learning_rate=given.rate,
    warmup_ratio=given.warmup,
    seed=given.seed,
    batch_sampler=BatchSamplers.NO_DUPLICATES,
    save_strategy="no",
    report_to="none",
    logging_steps=20,
    use_cpu=True,
    bf16=given.bf16,
)
start = time.perf_counter()
SentenceTransformerTrainer(model=model, args=arguments, train_dataset=data, loss=MultipleNegativesRankingLoss(model)).train()
seconds = time.perf_counter() - start
model.save_pretrained(given.output)
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"rows": len(rows), "columns": columns, "seconds": round(seconds, 1), "processor_seconds": round(used.ru_utime + used.ru_stime, 1)}))
