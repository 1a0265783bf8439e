"""Training of world models: autoencoder, views by flow matching, worlds by their renders, few steps by distillation."""
