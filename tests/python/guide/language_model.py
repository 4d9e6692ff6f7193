import torch
import deepspeed
from transformers import AutoModelForCausalLM, AutoTokenizer

# Load your model and tokenizer (e.g., Falcon, LLaMA, BLOOM, etc.)
model_name = "./tiny_llama"  # Change this to your chosen model
tokenizer = AutoTokenizer.from_pretrained(model_name)
model = AutoModelForCausalLM.from_pretrained(model_name, device_map="auto")

# Create a dummy dataset or use your actual dataset
dummy_input = tokenizer("DeepSpeed is amazing!", return_tensors="pt").input_ids

# DeepSpeed configuration is provided via a JSON file (see next section)
ds_config = "ds_config.json"

# Initialize DeepSpeed (it sets up distributed training, mixed precision, ZeRO optimizations, etc.)
model_engine, optimizer, _, _ = deepspeed.initialize(
    model=model,
    model_parameters=model.parameters(),
    config=ds_config
)

# Training loop example
for epoch in range(3):
    outputs = model_engine(dummy_input.to(model_engine.device))
    loss = outputs.logits.mean()  # This is a placeholder; use your actual loss function
    model_engine.backward(loss)
    model_engine.step()
