"""The network: a timm ResNet encoder and a U-Net decoder with SCSE; saving, loading and pushing it."""
