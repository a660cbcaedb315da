"""`mqtt://` and `mqtts://`: what the mats say to a broker and to Home Assistant, and what people ask of them there."""
