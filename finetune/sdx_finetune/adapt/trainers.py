"""A recipe as one of TRL's trainers: supervised, preferences or rewards; adapter or full weights; text or images."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import DistributedType, PartialState
from datasets.utils.logging import disable_progress_bar as disable_dataset_bars
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer, BitsAndBytesConfig, Trainer
from transformers.trainer_callback import PrinterCallback, TrainerCallback
from transformers.utils.logging import disable_progress_bar as disable_model_bars
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.adapt.reward import reward_function
from sdx_finetune.adapt.rows import Reader, Splits, sees

HALF_FLAGS = {"amx_bf16", "avx512_bf16"}
"""CPUs with either multiply bfloat16 faster than float32."""
LOGS_PER_EVAL = 10


def read_config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


def load_reader(folder: Path) -> Reader:
    """The tokenizer, or for a base that sees its processor; with a padding token in any case."""
    reader = (AutoProcessor if "vision_config" in read_config(folder) else AutoTokenizer).from_pretrained(folder)
    tokenizer = reader.tokenizer if sees(reader) else reader
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return reader


def half_precision(recipe: AdaptRecipe) -> bool:
    """Whether to compute in bfloat16."""
    if recipe.train.precision != "auto":
        return recipe.train.precision == "bf16"
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = Path("/proc/cpuinfo")
    return flags.exists() and bool(HALF_FLAGS & set(flags.read_text(encoding="utf-8").split()))


def load_model(recipe: AdaptRecipe, folder: Path) -> Any:
    """The base's weights. Those that are learnt are float32, whatever the arithmetic: small steps vanish in bfloat16."""
    kind = AutoModelForImageTextToText if "vision_config" in read_config(folder) else AutoModelForCausalLM
    frozen_half = recipe.weights != "full" and half_precision(recipe) and torch.cuda.is_available()
    return kind.from_pretrained(
        folder,
        dtype=torch.bfloat16 if frozen_half else torch.float32,
        quantization_config=_four_bits() if recipe.weights == "qlora" else None,
    )


def _four_bits() -> BitsAndBytesConfig:
    if not torch.cuda.is_available():
        raise ValueError('weights "qlora" computes on a CUDA device, and there is none here: set weights: lora')
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise ValueError('weights "qlora" wants the package bitsandbytes: pip install bitsandbytes, or set weights: lora') from error
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16
    )


def adapter_config(recipe: AdaptRecipe, images: bool) -> LoraConfig | None:
    """None for full weights. What looks at images is left as it is: an adapter there would not reach the projector's file."""
    if recipe.weights == "full":
        return None
    spec = recipe.lora
    targets = spec.targets if isinstance(spec.targets, str) else list(spec.targets)
    return LoraConfig(
        r=spec.rank, lora_alpha=spec.alpha, lora_dropout=spec.dropout, target_modules=targets, use_dora=recipe.weights == "dora",
        exclude_modules=r".*(vision_tower|vision_model|visual|multi_modal_projector)\..*" if images else None, task_type="CAUSAL_LM",
    )  # fmt: skip


def build_trainer(
    recipe: AdaptRecipe, folder: Path, reader: Reader, rows: Splits, output: Path, callbacks: Sequence[TrainerCallback] = (), **change: Any
) -> Trainer:
    """TRL's trainer for the recipe's method; checkpoints go to `output`, `change` overrides its arguments.

    Raises:
        ValueError: the method or the targets do not go with this machine or this model.
    """
    _quiet()
    torch.set_num_threads(recipe.train.threads)
    trainer = _trainer(recipe, folder, reader, rows, _arguments(recipe, output, sees(reader)) | change)
    trainer.remove_callback(PrinterCallback)
    for callback in callbacks:
        trainer.add_callback(callback)
    if recipe.train.max_steps and recipe.train.max_epochs and "max_steps" not in change:
        _end_at_the_nearer(trainer, recipe.train.max_steps)
    return trainer


def _quiet() -> None:
    """No bars between our lines, and nothing sent to anyone."""
    from huggingface_hub import constants

    disable_dataset_bars()
    disable_model_bars()
    constants.HF_HUB_DISABLE_TELEMETRY = True


def _shard_on_cpus() -> None:
    """Let FSDP run on CPUs, which torch can: accelerate turns it on for its list of accelerators alone. After the arguments: they
    open the processes' group, and before the trainer, which asks."""
    if os.environ.get("ACCELERATE_USE_FSDP") == "true" and not torch.cuda.is_available():
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU


def _trainer(recipe: AdaptRecipe, folder: Path, reader: Reader, rows: Splits, arguments: dict[str, Any]) -> Trainer:
    config = _config(recipe, arguments)
    _shard_on_cpus()
    given: dict[str, Any] = {
        "model": load_model(recipe, folder), "args": config, "train_dataset": rows.train, "eval_dataset": rows.held_out,
        "processing_class": reader, "peft_config": adapter_config(recipe, sees(reader)),
    }  # fmt: skip
    match recipe.method:
        case "sft":
            return SFTTrainer(**given)
        case "dpo":
            return DPOTrainer(**given)
        case "grpo":
            assert recipe.grpo is not None, "the schema asks for it"
            return GRPOTrainer(reward_funcs=reward_function(recipe.grpo.reward), **given)


def _config(recipe: AdaptRecipe, arguments: dict[str, Any]) -> SFTConfig | DPOConfig | GRPOConfig:
    match recipe.method:
        case "sft":
            # No row is longer than max_length: with it TRL would only look for something to cut.
            length = recipe.train.max_length if recipe.train.packing else None
            return SFTConfig(**arguments, max_length=length, packing=recipe.train.packing, completion_only_loss=True)
        case "dpo":
            kinds, weights = (["sigmoid", "sft"], [1.0, recipe.dpo.sft_weight]) if recipe.dpo.sft_weight else (["sigmoid"], None)
            return DPOConfig(**arguments, max_length=None, beta=recipe.dpo.beta, loss_type=kinds, loss_weights=weights)
        case "grpo":
            spec = recipe.grpo
            assert spec is not None, "the schema asks for it"
            # Held-out questions are answered in whole groups as well: the smallest batch that every process can fill.
            return GRPOConfig(
                **arguments | {"per_device_eval_batch_size": spec.answers}, num_generations=spec.answers, temperature=spec.temperature,
                max_completion_length=spec.max_tokens, beta=spec.beta,
            )  # fmt: skip


def _arguments(recipe: AdaptRecipe, output: Path, images: bool) -> dict[str, Any]:
    spec = recipe.train
    cuda = torch.cuda.is_available()
    several = "RANK" in os.environ
    return {
        "output_dir": str(output),
        "max_steps": spec.max_steps or -1,
        "num_train_epochs": spec.max_epochs or 1,
        "learning_rate": spec.learning_rate,
        "warmup_steps": spec.warmup,
        "lr_scheduler_type": "constant_with_warmup" if spec.schedule == "constant" else spec.schedule,
        "weight_decay": spec.weight_decay,
        "max_grad_norm": spec.clip_norm,
        "per_device_train_batch_size": spec.batch_rows,
        "per_device_eval_batch_size": spec.batch_rows,
        "gradient_accumulation_steps": spec.accumulate,
        "gradient_checkpointing": spec.gradient_checkpointing,
        "bf16": half_precision(recipe),
        "use_cpu": not cuda,
        "dataloader_pin_memory": cuda,
        "eval_strategy": "steps",
        "save_strategy": "steps",
        "eval_steps": spec.eval_every,
        "save_steps": spec.eval_every,
        "logging_steps": max(1, spec.eval_every // LOGS_PER_EVAL),
        "logging_nan_inf_filter": False,
        "seed": spec.seed,
        "data_seed": spec.seed,
        "report_to": "none",
        "disable_tqdm": True,
        "ddp_find_unused_parameters": False if several and not images else None,
        "ddp_backend": "gloo" if several and not cuda else None,
    }


def _end_at_the_nearer(trainer: Trainer, max_steps: int) -> None:
    trainer.args.max_steps = -1
    by_epochs = trainer.set_initial_training_values(trainer.args, trainer.get_train_dataloader())[-1]
    trainer.args.max_steps = min(max_steps, by_epochs)
