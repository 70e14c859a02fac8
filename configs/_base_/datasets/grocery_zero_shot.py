# Grocery photos by their 43 coarse names: validation chooses, test is opened once.
data = '{{$REACT_MM_DATA:data/photos}}'
classes = [
    'apple', 'avocado', 'banana', 'kiwi', 'lemon', 'lime', 'mango', 'melon', 'nectarine', 'orange',
    'papaya', 'passion fruit', 'peach', 'pear', 'pineapple', 'plum', 'pomegranate',
    'red grapefruit', 'satsumas', 'juice', 'milk', 'oatghurt', 'oat milk', 'sour cream',
    'sour milk', 'soyghurt', 'soy milk', 'yoghurt', 'asparagus', 'aubergine', 'cabbage', 'carrots',
    'cucumber', 'garlic', 'ginger', 'leek', 'mushroom', 'onion', 'pepper', 'potato', 'red beet',
    'tomato', 'zucchini',
]
val_dataloader = dict(
    batch_size=64,
    num_workers=0,
    dataset=dict(
        type='react_mm.ZeroShotDataset',
        path=data + '/grocery',
        label_field='coarse',
        where=dict(split='val'),
        classes=classes,
        pipeline=[dict(type='react_mm.ResizeCenterCrop', size=160)],
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
)
test_dataloader = dict(
    batch_size=64,
    num_workers=0,
    dataset=dict(
        type='react_mm.ZeroShotDataset',
        path=data + '/grocery',
        label_field='coarse',
        where=dict(split='test'),
        classes=classes,
        pipeline=[dict(type='react_mm.ResizeCenterCrop', size=160)],
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
)
val_evaluator = dict(type='react_mm.ZeroShotAccuracy')
test_evaluator = dict(type='react_mm.ZeroShotAccuracy')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
