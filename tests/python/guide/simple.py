import torch
import deepspeed
from torch import nn

# Define a simple model
class SimpleModel(nn.Module):
    def __init__(self):
        super(SimpleModel, self).__init__()
        self.fc = nn.Linear(1024, 10)

    def forward(self, x):
        return self.fc(x)

# Instantiate model and dummy data
model = SimpleModel()
dummy_input = torch.randn(32, 1024)  # example batch

# DeepSpeed configuration file (ds_config.json) should be prepared with desired settings
# For example, enabling ZeRO Stage 2:
# {
#    "train_batch_size": 32,
#    "gradient_accumulation_steps": 1,
#    "optimizer": {"type": "AdamW", "params": {"lr": 0.001}},
#    "fp16": {"enabled": true},
#    "zero_optimization": {"stage": 2}
# }

# Initialize DeepSpeed
model_engine, optimizer, _, _ = deepspeed.initialize(
    args=None,
    model=model,
    model_parameters=model.parameters(),
    config="ds_config.json"
)

# Training loop
for epoch in range(10):
    output = model_engine(dummy_input)
    loss = output.mean()  # dummy loss
    model_engine.backward(loss)
    model_engine.step()
